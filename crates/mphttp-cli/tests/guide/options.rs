//! What pages say in passing: options of `mphttp` that they name in a line, outside of any block, exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use crate::page::Page;

/// Every verb, and those of `paths`.
const VERBS: &[&str] = &[
    "",
    "bench",
    "completions",
    "config",
    "demo",
    "doctor",
    "get",
    "man",
    "paths",
    "paths add",
    "paths auto",
    "paths del",
    "paths limits",
    "paths set",
    "paths watch",
    "proxy",
    "serve",
    "top",
];
/// Options of other programs that pages name without the program.
const OTHERS: &[&str] = &["--features", "--locked"];

/// The long options in a text.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    let long =
        words.map(|word| word.trim_end_matches('.')).filter(|word| word.len() > 3 && word.starts_with("--"));
    // `--no-…` stands for many.
    long.filter(|word| !word.ends_with('-')).map(str::to_owned).collect()
}

pub fn exist(pages: &[Page]) {
    let known: BTreeMap<&str, BTreeSet<String>> = VERBS
        .iter()
        .map(|verb| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mphttp"));
            let output = command.args(verb.split_whitespace()).arg("--help").output().unwrap();
            assert!(output.status.success(), "mphttp {verb} --help fails");
            (*verb, options(&String::from_utf8_lossy(&output.stdout)))
        })
        .collect();
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in pages.iter().filter(|page| page.name == "README.md" || page.name.starts_with("docs/")) {
        for (number, line) in page.prose() {
            for code in line.split('`').skip(1).step_by(2) {
                let named = options(code);
                // With the verb where it is said, else of any; what other programs are given is theirs.
                let of: Vec<&BTreeSet<String>> = match code.strip_prefix("mphttp ") {
                    Some(rest) => {
                        let fits = |verb: &&&str| {
                            rest.strip_prefix(**verb)
                                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                        };
                        VERBS
                            .iter()
                            .filter(fits)
                            .max_by_key(|verb| verb.len())
                            .map_or(vec![&known[""]], |verb| vec![&known[verb]])
                    }
                    None if code.starts_with("--") && !page.name.starts_with("docs/python/") => {
                        known.values().collect()
                    }
                    None => continue,
                };
                for option in named.iter().filter(|option| !OTHERS.contains(&option.as_str())) {
                    count += 1;
                    if !of.iter().any(|known| known.contains(option)) {
                        faults.push(format!("{}:{number}: `{code}`: there is no {option}", page.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 100, "only {count} options were found");
}
