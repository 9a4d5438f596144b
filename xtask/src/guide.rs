//! `cargo xtask guide`: the pages of `docs/` as a book, in HTML. Pages link sources of the repository, which a book doesn't take: copies
//! of those are put beside it, so that a link leads to the same place in the book as on a forge.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{command, root, run, target_dir};
use crate::prerequisites::{self, MDBOOK};

/// Builds the book, and says where it is.
///
/// # Errors
/// When mdBook is missing or fails, or a linked file can't be copied.
pub fn build() -> Result<()> {
    prerequisites::check(&[&MDBOOK])?;
    let book = target_dir().join("guide");
    // What is no page any more would stay.
    let _ = fs::remove_dir_all(&book);
    run(command("mdbook").arg("build").arg("--dest-dir").arg(book.join("docs")).arg(root()))?;
    // mdBook makes index.html of a README.md, and leaves links to it pointing to README.html.
    for page in files_below(&root().join("docs"))? {
        if page.ends_with("README.md") {
            let folder = book.join(page.strip_prefix(root())?).with_file_name("");
            fs::copy(folder.join("index.html"), folder.join("README.html"))
                .with_context(|| format!("no page was made of {}", page.display()))?;
        }
    }
    for file in linked(&root(), &root().join("docs"))? {
        let to = book.join(&file);
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        let copied = match file.extension() {
            // mdBook makes links to pages end with .html, also where there is no such page.
            Some(extension) if extension == "md" => fs::read_to_string(root().join(&file))
                .and_then(|text| fs::write(to.with_extension("html"), plain(&text))),
            _ => fs::copy(root().join(&file), &to).map(drop),
        };
        copied.with_context(|| format!("can't copy {}", file.display()))?;
    }
    println!("{}", book.join("docs/index.html").display());
    Ok(())
}

/// A text as it is, for browsers.
fn plain(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<!doctype html><meta charset=\"utf-8\"><pre style=\"white-space: pre-wrap\">{escaped}</pre>\n")
}

/// The files outside of `docs` that pages link, by their paths in the repository; of folders all files.
fn linked(root: &Path, docs: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for page in files_below(docs)? {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&page)?;
        for link in text.split("](../").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let folder = page.parent().unwrap_or(docs);
            let Ok(target) = folder.join("..").join(link).canonicalize() else { continue };
            if target.starts_with(docs) {
                continue;
            }
            let found = if target.is_dir() { files_below(&target)? } else { vec![target] };
            files.extend(found.iter().filter_map(|file| Some(file.strip_prefix(root).ok()?.to_path_buf())));
        }
    }
    Ok(files)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_elsewhere_is_shown_as_it_is() {
        assert!(
            plain("a < b & `c`").contains("<pre style=\"white-space: pre-wrap\">a &lt; b &amp; `c`</pre>")
        );
    }

    #[test]
    fn sources_that_pages_link_are_found_and_pages_are_not() {
        let root = root().canonicalize().unwrap();
        let files = linked(&root, &root.join("docs")).unwrap();
        let has = |name: &str| files.contains(Path::new(name));
        assert!(has("examples/rust/src/bin/axum_server.rs"), "{files:?}");
        assert!(has("examples/python/http_client.py"), "linked from a page in a folder: {files:?}");
        assert!(has("contrib/systemd/mphttp-paths.service"), "{files:?}");
        assert!(!files.iter().any(|file| file.starts_with("docs")), "{files:?}");
    }
}
