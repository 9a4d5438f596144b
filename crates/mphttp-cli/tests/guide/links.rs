//! The book without mdBook: whether links lead somewhere, whether the table of contents (`docs/SUMMARY.md`) has every page, and
//! whether a page begins and ends as a reader who comes from anywhere needs it.

use std::collections::{BTreeMap, BTreeSet};

use crate::page::{Page, root};

const SUMMARY: &str = "docs/SUMMARY.md";

/// Pages that programs write, as those write them.
const MADE: &[&str] = &["docs/benchmarks/", "docs/hosts.md", "docs/http-cases.md"];

/// The targets of a page's links, with their lines.
fn links(page: &Page) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in page.prose() {
        // Code in a line is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        links.extend(
            plain.split("](").skip(1).filter_map(|rest| Some((number, rest.split(')').next()?.to_owned()))),
        );
    }
    links
}

/// The names by which a page's headings can be linked, as forges and mdBook make them.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings =
        page.prose().filter_map(|(_, line)| Some(line.trim_start_matches('#')).filter(|rest| *rest != line));
    headings
        .map(|heading| {
            let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// Where a link from a page leads: a path in the repository, without `.` and `..`.
fn resolved(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub fn lead_somewhere(pages: &[Page]) {
    let root = root();
    let known: BTreeMap<&str, &Page> = pages.iter().map(|page| (page.name.as_str(), page)).collect();
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in pages {
        for (number, link) in links(page) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (path, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { page.name.clone() } else { resolved(&page.name, path) };
            let there = root.join(&target).exists();
            let anchored = anchor.is_none_or(|anchor| {
                known.get(target.as_str()).is_some_and(|page| anchors(page).contains(anchor))
            });
            if !there || !anchored {
                faults.push(format!("{}:{number}: {link} leads nowhere", page.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 100, "only {count} links were found");
}

pub fn summary(pages: &[Page]) {
    let summary = pages.iter().find(|page| page.name == SUMMARY).expect("docs/SUMMARY.md is there");
    let listed: Vec<String> = links(summary).into_iter().map(|(_, link)| resolved(SUMMARY, &link)).collect();
    let set: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(set.len(), listed.len(), "a page is listed twice, which mdBook does not take");
    let there: BTreeSet<&str> = pages
        .iter()
        .map(|page| page.name.as_str())
        .filter(|name| name.starts_with("docs/") && *name != SUMMARY)
        .collect();
    assert_eq!(set, there, "the table of contents and the pages differ");
}

/// A heading, then what the page is for; at the end where to go next.
pub fn shape(pages: &[Page]) {
    let mut faults = Vec::new();
    let made = |name: &str| MADE.iter().any(|made| name.starts_with(made)) && !name.ends_with("/README.md");
    for page in pages
        .iter()
        .filter(|page| page.name.starts_with("docs/") && page.name != SUMMARY && !made(&page.name))
    {
        let mut lines = page.text.lines().filter(|line| !line.trim().is_empty());
        if !lines.next().is_some_and(|line| line.starts_with("# ")) {
            faults.push(format!("{}: no heading first", page.name));
        }
        if lines
            .next()
            .is_none_or(|line| ["```", "<!--", "#", "|", "-"].iter().any(|start| line.starts_with(start)))
        {
            faults.push(format!("{}: it doesn't begin with what it is for", page.name));
        }
        let last = page.text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        if !last.starts_with("Next: ") || !last.contains("](") {
            faults.push(format!("{}: it doesn't end with where to go next (\"Next: …\")", page.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
