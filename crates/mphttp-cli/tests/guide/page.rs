//! Pages: every Markdown file of the repository, with its blocks of code and what they say of themselves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::note::Note;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[derive(Clone, Debug)]
pub struct Block {
    /// Where its fence is, from 1.
    pub line: usize,
    pub language: String,
    pub text: String,
    pub note: Note,
}

#[derive(Clone, Debug)]
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

impl Page {
    /// All of them, in order of their names.
    ///
    /// # Errors
    /// What is wrong with blocks that don't say what they are, all of it.
    pub fn all() -> Result<Vec<Self>, String> {
        let root = root();
        let mut files = Vec::new();
        find(&root, &mut files);
        let (mut pages, mut faults) = (Vec::new(), Vec::new());
        for file in files {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&file).unwrap();
            match blocks(&text) {
                Ok(blocks) => pages.push(Self { name, text, blocks }),
                Err(wrong) => faults.extend(wrong.iter().map(|wrong| format!("{name}:{wrong}"))),
            }
        }
        pages.sort_by(|a, b| a.name.cmp(&b.name));
        if faults.is_empty() { Ok(pages) } else { Err(faults.join("\n")) }
    }

    /// Its lines that are not in a block, with their numbers from 1.
    pub fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            (!fenced && !fence).then_some((index + 1, line))
        })
    }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap_or_default());
        if entry.file_type().unwrap().is_dir() {
            // What is built, and what others keep here: a target folder, a virtual environment.
            let others = name.starts_with('.')
                || path.join("CACHEDIR.TAG").exists()
                || path.join("pyvenv.cfg").exists()
                || name == "target";
            if !others {
                find(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
}

fn blocks(text: &str) -> Result<Vec<Block>, Vec<String>> {
    let (mut blocks, mut faults) = (Vec::new(), Vec::new());
    // The note that stands before a block, and in which line.
    let mut note: Option<(usize, Note)> = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let start = line.trim_start();
        if let Some(language) = start.strip_prefix("```") {
            let indent = line.len() - start.len();
            let mut body = String::new();
            for (_, line) in lines.by_ref() {
                if line.trim() == "```" {
                    break;
                }
                body.push_str(line.get(indent..).unwrap_or(line.trim_start()));
                body.push('\n');
            }
            let language = language.trim().to_owned();
            match note.take() {
                Some((_, mut note)) => {
                    if let Note::Run(how) = &mut note {
                        how.python |= language == "python";
                    }
                    blocks.push(Block { line: number, language, text: body, note });
                }
                None => faults.push(format!(
                    "{number}: this block doesn't say whether it is run; put <!-- run --> or <!-- no-run: REASON --> \
                     before it (crates/mphttp-cli/tests/guide/note.rs)"
                )),
            }
            continue;
        }
        if start.is_empty() {
            continue;
        }
        if let Some((number, _)) = note.take() {
            faults.push(format!("{number}: no block follows this note"));
        }
        if let Some(rest) = start.strip_prefix("<!--") {
            let mut comment = rest.to_owned();
            while !comment.contains("-->") {
                let Some((_, line)) = lines.next() else { break };
                comment.push('\n');
                comment.push_str(line);
            }
            match Note::parse(comment.split("-->").next().unwrap_or_default()) {
                Ok(parsed) => note = parsed.map(|parsed| (number, parsed)),
                Err(error) => faults.push(format!("{number}: {error}")),
            }
        }
    }
    if faults.is_empty() { Ok(blocks) } else { Err(faults) }
}

/// Code without the layout of its lines.
pub fn flat(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints what is covered, and how.
pub fn report(pages: &[Page]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left_out = Vec::new();
    let mut lines = Vec::new();
    for page in pages {
        let mut here: BTreeMap<&str, usize> = BTreeMap::new();
        for block in &page.blocks {
            let kind = match &block.note {
                Note::Run(how) if how.python => "run with Python",
                Note::Run(_) => "run",
                Note::SameAs(_) => "part of a program that is run",
                Note::Tested(..) => "done by another test",
                Note::Shown(_) => "output, compared",
                Note::NoRun(reason) => {
                    left_out.push(format!("  {}:{}: {reason}", page.name, block.line));
                    "not run"
                }
            };
            *here.entry(kind).or_default() += 1;
            *counts.entry(kind).or_default() += 1;
            if let Note::Run(how) = &block.note {
                for (line, reason) in &how.skip {
                    left_out.push(format!("  {}:{}: `{line}`: {reason}", page.name, block.line));
                }
            }
        }
        if !here.is_empty() {
            lines.push(format!("  {}: {}", page.name, listed(&here)));
        }
    }
    let blocks: usize = counts.values().sum();
    println!("{blocks} blocks: {}\n{}", listed(&counts), lines.join("\n"));
    println!("not run, and why:\n{}", left_out.join("\n"));
    let not = counts.get("not run").copied().unwrap_or(0);
    assert!(blocks > 90, "only {blocks} blocks were found");
    assert!(not * 5 <= blocks, "{not} of {blocks} blocks are not run");
}

fn listed(counts: &BTreeMap<&str, usize>) -> String {
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

/// Blocks that are part of a program or done by another test: it is there, and it is run.
pub fn elsewhere(pages: &[Page]) {
    let root = root();
    let read = |name: &str| fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"));
    let mut faults = Vec::new();
    for (page, block) in pages.iter().flat_map(|page| page.blocks.iter().map(move |block| (page, block))) {
        let fault = match &block.note {
            Note::SameAs(name) => {
                let run = ["examples/", "contrib/", "docs/"].iter().any(|folder| name.starts_with(folder));
                match read(name) {
                    Ok(text) if run && flat(&text).contains(&flat(&block.text)) => continue,
                    Ok(_) if run => format!("this is not in {name}"),
                    Ok(_) => format!("nobody is known to run {name}"),
                    Err(error) => error,
                }
            }
            Note::Tested(name, text) => match read(name) {
                Ok(source) if source.contains(text) => continue,
                Ok(_) => format!("no `{text}` in {name}"),
                Err(error) => error,
            },
            _ => continue,
        };
        faults.push(format!("{}:{}: {fault}", page.name, block.line));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
