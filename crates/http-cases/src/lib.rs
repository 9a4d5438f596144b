//! HTTP cases as data: what is sent, what is expected, and the source that says so. The programs that run them are tests of other
//! crates; what is covered prints itself (`cargo xtask cases`), and `docs/http-cases.md` is that list.
//!
//! A topic is a module with a case type of its own, a `const` table, and a function that makes a [`Table`] of it. No dependencies,
//! so that `cargo xtask` can print the list when nothing else builds.

use std::fmt::Write as _;

pub mod answer;
pub mod file;
pub mod http2;
pub mod liars;
pub mod request;
pub mod script;

/// A topic's cases, as the list shows them.
#[derive(Clone, Debug)]
pub struct Table {
    /// The heading.
    pub title: &'static str,
    /// What the cases are about and how they are run, in a paragraph.
    pub about: &'static str,
    /// The program that runs them, as one types it.
    pub runs: &'static str,
    /// The cases.
    pub rows: Vec<Row>,
}

/// A case, as the list shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Says what is odd about it; unique within the table. The test that runs it is called so too.
    pub name: &'static str,
    /// Why this is expected: section of an RFC, CVE, known research.
    pub source: &'static str,
    /// What is expected, in short.
    pub expected: String,
}

/// Every table there is.
#[must_use]
pub fn tables() -> Vec<Table> {
    let mut tables = vec![request::table(), answer::table(), file::table()];
    tables.extend(http2::tables());
    tables.extend(liars::tables());
    tables
}

/// The list as `docs/http-cases.md` has it.
#[must_use]
pub fn markdown() -> String {
    let tables = tables();
    let count: usize = tables.iter().map(|table| table.rows.len()).sum();
    let mut out = format!(
        "# HTTP cases\n\nWhat is tried on every run of the tests, byte by byte on sockets: {count} cases. The tables are \
         `crates/http-cases`;\nthis list is made from them by `cargo xtask cases --write`.\n"
    );
    for table in tables {
        let Table { title, about, runs, rows } = table;
        let _ = write!(out, "\n## {title}\n\n{about}\n\nRun by `{runs}`.\n\n");
        out.push_str("| case | source | expected |\n|---|---|---|\n");
        for Row { name, source, expected } in rows {
            let _ = writeln!(out, "| {} | {} | {} |", cell(name), cell(source), cell(&expected));
        }
    }
    out
}

/// The list for a terminal: a line a case.
#[must_use]
pub fn text() -> String {
    let mut out = String::new();
    for table in tables() {
        let _ = writeln!(out, "{} ({} cases; {})", table.title, table.rows.len(), table.runs);
        for Row { name, source, expected } in table.rows {
            let _ = writeln!(out, "  {name:<48}  {source:<44}  {}", escaped(&expected));
        }
    }
    out
}

/// As a cell of a table in Markdown.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for letter in escaped(text).chars() {
        if "\\|*_<`[]".contains(letter) {
            cell.push('\\');
        }
        cell.push(letter);
    }
    cell
}

/// On one line.
fn escaped(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_cases_apart_and_each_has_its_source() {
        for table in tables() {
            let mut names: Vec<_> = table.rows.iter().map(|row| row.name).collect();
            names.sort_unstable();
            for pair in names.windows(2) {
                assert_ne!(pair[0], pair[1], "{}", table.title);
            }
            for row in table.rows {
                assert!(row.source.len() > 6 && !row.expected.is_empty(), "{row:?}");
                assert!(!row.name.contains(['|', '\n']) && !row.source.contains(['|', '\n']), "{row:?}");
            }
        }
    }

    #[test]
    fn the_list_in_the_documentation_is_of_today() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-cases.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/http-cases.md is of another day: cargo xtask cases --write");
    }
}
