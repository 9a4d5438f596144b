//! `SECURITY.md` says what the project defends against and cites the test that shows it: `path#name`. A citation of a test that was
//! renamed or deleted would be a promise that nobody keeps.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Options, Outcome};
use crate::command::root;

pub fn cited(_: &Options) -> Result<Outcome> {
    let text = fs::read_to_string(root().join("SECURITY.md")).context("can't read SECURITY.md")?;
    let citations = citations(&text);
    ensure!(!citations.is_empty(), "SECURITY.md cites no test");
    let mut wrong = Vec::new();
    for (path, name) in &citations {
        match fs::read_to_string(root().join(path)) {
            Err(error) => wrong.push(format!("{path}: {error}")),
            Ok(source) if !has_test(&source, name) => wrong.push(format!("{path} has no test {name}")),
            Ok(_) => {}
        }
    }
    ensure!(wrong.is_empty(), "SECURITY.md cites what isn't there:\n{}", wrong.join("\n"));
    Ok(Outcome::Holds(format!("{} tests cited, all there", citations.len())))
}

/// Every `path#name` between backticks.
fn citations(text: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> =
        text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once('#')).collect();
    found.retain(|(path, name)| path.contains('/') && !name.is_empty());
    found
}

/// Whether a source has a function of that name, in Rust or Python.
fn has_test(source: &str, name: &str) -> bool {
    ["fn ", "def "].iter().any(|keyword| {
        source.split(&format!("{keyword}{name}")).skip(1).any(|rest| rest.starts_with(['(', '<']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_paths_with_names_between_backticks() {
        let text =
            "Closed by `crates/a/tests/b.rs#closed` (`--allow`, `x#y`), see [c](d#e) and\n`f/g.py#test_h`.";
        assert_eq!(citations(text), [("crates/a/tests/b.rs", "closed"), ("f/g.py", "test_h")]);
    }

    #[test]
    fn a_test_is_found_by_its_whole_name() {
        assert!(has_test("#[test]\nfn closed() {}", "closed"));
        assert!(has_test("    async def test_h(self):", "test_h"));
        assert!(!has_test("fn closed_too() {}", "closed"));
        assert!(!has_test("// closed()", "closed"));
    }
}
