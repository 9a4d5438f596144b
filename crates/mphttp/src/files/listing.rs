//! Directory listings: JSON for programs, and a page of HTML for people that needs no script and nothing from elsewhere.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::path::{encode, is_hidden};
use super::platform;
use super::root::{Kind, Stat};
use super::upload_form;

/// The Content-Security-Policy of a listing: were a name ever to slip through as markup, it could do nothing.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:60rem;margin:0 auto;padding:1rem}\
h1{font-size:1.1rem;font-weight:600;overflow-wrap:anywhere}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-size:.85rem;font-weight:500;opacity:.75}\
th a{color:inherit}\
td,th{padding:.4rem .5rem .4rem 0;border-bottom:1px solid #8884;vertical-align:top}\
td:first-child{overflow-wrap:anywhere}\
td:nth-child(n+2){white-space:nowrap;font-variant-numeric:tabular-nums;opacity:.75}\
td:nth-child(2),th:nth-child(2){text-align:right}\
a{text-decoration:none}a:hover,a:focus{text-decoration:underline}\
.d{font-weight:600}\
@media(max-width:36rem){td:nth-child(3),th:nth-child(3){display:none}}";

/// One name of a directory. The fields are those of the JSON listing.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    /// What is not UTF-8 is replaced by U+FFFD; `href` is exact.
    name: String,
    /// Relative to the directory.
    href: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// In bytes; none for a directory.
    size: Option<u64>,
    /// RFC 3339, UTC, in whole seconds.
    modified: Option<String>,
    #[serde(skip)]
    directory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Name,
    Size,
    Modified,
}

/// The order that a query asks for: `sort=name|size|modified`, `order=asc|desc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    key: Key,
    descending: bool,
}

impl Order {
    /// By name, ascending, unless the query says otherwise. What it says beyond that is ignored.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut order = Order { key: Key::Name, descending: false };
        for pair in query.unwrap_or_default().split('&') {
            match pair {
                "sort=size" => order.key = Key::Size,
                "sort=modified" => order.key = Key::Modified,
                "order=desc" => order.descending = true,
                _ => {}
            }
        }
        order
    }

    fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let by_name = || a.name.to_lowercase().cmp(&b.name.to_lowercase()).then_with(|| a.href.cmp(&b.href));
        let by_key = match self.key {
            Key::Name => by_name(),
            Key::Size => a.size.cmp(&b.size).then_with(by_name),
            // RFC 3339 in UTC sorts as text.
            Key::Modified => a.modified.cmp(&b.modified).then_with(by_name),
        };
        let directed = if self.descending { by_key.reverse() } else { by_key };
        b.directory.cmp(&a.directory).then(directed)
    }
}

/// What is shown of a directory, directories first.
pub(super) fn entries(found: Vec<(OsString, Stat)>, hidden: bool, order: Order) -> Vec<Entry> {
    let mut entries: Vec<Entry> = found
        .into_iter()
        .filter_map(|(name, stat)| {
            let bytes = platform::name_bytes(&name);
            if is_hidden(&bytes, hidden) {
                return None;
            }
            let directory = stat.kind == Kind::Directory;
            Some(Entry {
                name: String::from_utf8_lossy(&bytes).into_owned(),
                href: encode(&bytes) + if directory { "/" } else { "" },
                kind: if directory { "directory" } else { "file" },
                size: (!directory).then_some(stat.size),
                modified: stat.modified.and_then(rfc3339),
                directory,
            })
        })
        .collect();
    entries.sort_by(|a, b| order.compare(a, b));
    entries
}

fn rfc3339(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?.format(&Rfc3339).ok()
}

/// The page for a directory, given as the names that lead to it. All its links are relative: it works under any prefix.
pub(super) fn html(names: &[Vec<u8>], entries: &[Entry], order: Order, uploads: bool) -> String {
    let mut page = String::with_capacity(2048 + entries.len() * 160);
    // Writing to a String can't fail.
    let _ = write_html(&mut page, names, entries, order);
    if uploads {
        let _ = writeln!(page, "{}<script>{}</script>", upload_form::FORM, upload_form::SCRIPT);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn write_html(page: &mut String, names: &[Vec<u8>], entries: &[Entry], order: Order) -> fmt::Result {
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    let path: String = names.iter().flat_map(|name| ["/", name]).collect();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}/</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>",
        Escaped(&path)
    )?;
    let up = |levels: usize| if levels == 0 { "./".to_owned() } else { "../".repeat(levels) };
    write!(page, "<a href=\"{}\">/</a>", up(names.len()))?;
    for (index, name) in names.iter().enumerate() {
        let levels = names.len().saturating_sub(index + 1);
        write!(page, " <a href=\"{}\">{}</a> /", up(levels), Escaped(name))?;
    }
    page.push_str("</h1>\n<table>\n<thead><tr>");
    for (key, word, title) in [
        (Key::Name, "name", "Name"),
        (Key::Size, "size", "Size"),
        (Key::Modified, "modified", "Modified (UTC)"),
    ] {
        let current = order.key == key;
        let next = if current && !order.descending { "desc" } else { "asc" };
        let (sort, mark) = match (current, order.descending) {
            (true, true) => (" aria-sort=\"descending\"", " ↓"),
            (true, false) => (" aria-sort=\"ascending\"", " ↑"),
            (false, _) => ("", ""),
        };
        write!(
            page,
            "<th scope=\"col\"{sort}><a href=\"?sort={word}&amp;order={next}\">{title}{mark}</a></th>"
        )?;
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    if !names.is_empty() {
        page.push_str("<tr><td><a class=\"d\" href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in entries {
        let (class, slash) = if entry.directory { (" class=\"d\"", "/") } else { ("", "") };
        write!(
            page,
            "<tr><td><a{class} href=\"{}\">{}{slash}</a></td><td>",
            entry.href,
            Escaped(&entry.name)
        )?;
        if let Some(size) = entry.size {
            write!(page, "{}", Size(size))?;
        }
        page.push_str("</td><td>");
        if let Some(modified) = &entry.modified {
            let minute = modified.get(..16).unwrap_or(modified).replace('T', " ");
            write!(page, "<time datetime=\"{modified}\">{minute}</time>")?;
        }
        page.push_str("</td></tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
    Ok(())
}

/// Text in HTML, also within an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A newline or a bidirectional override in a name would make it look like another.
                c if c.is_control()
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A size for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut size = self.0 as f64;
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            // 1023.95 would be printed as 1024.0.
            if size < 1023.95 {
                break;
            }
            size /= 1024.0;
            unit = next;
        }
        write!(f, "{size:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stat(kind: Kind, size: u64, seconds: u64) -> Stat {
        Stat { kind, size, modified: Some(UNIX_EPOCH + Duration::from_secs(seconds)) }
    }

    fn sorted(query: &str) -> Vec<String> {
        let found = vec![
            ("b".into(), stat(Kind::File, 1, 30)),
            ("A".into(), stat(Kind::File, 3, 10)),
            ("c".into(), stat(Kind::File, 2, 20)),
            ("z".into(), stat(Kind::Directory, 4096, 0)),
            (".hidden".into(), stat(Kind::File, 0, 0)),
        ];
        entries(found, false, Order::parse(Some(query))).into_iter().map(|entry| entry.href).collect()
    }

    #[test]
    fn directories_first_then_the_order_asked_for() {
        assert_eq!(sorted(""), ["z/", "A", "b", "c"]);
        assert_eq!(sorted("order=desc"), ["z/", "c", "b", "A"]);
        assert_eq!(sorted("sort=size"), ["z/", "b", "c", "A"]);
        assert_eq!(sorted("sort=modified&order=desc"), ["z/", "b", "c", "A"]);
        assert_eq!(sorted("sort=nonsense"), ["z/", "A", "b", "c"]);
    }

    #[test]
    fn names_are_never_markup() {
        let name = "<script>\"&'\u{202e}\n";
        let found = vec![(name.into(), stat(Kind::File, 0, 0))];
        let order = Order::parse(None);
        let page = html(&[b"<b>".to_vec()], &entries(found, false, order), order, true);
        assert!(page.matches("<script>").count() == 1, "the form's own: {page}");
        assert!(!page.contains("<b>") && !page.contains('\u{202e}'), "{page}");
        assert!(
            page.contains("href=\"%3Cscript%3E%22%26%27%E2%80%AE%0A\">&lt;script&gt;&quot;&amp;&#39;"),
            "{page}"
        );
    }

    #[test]
    fn dates_and_sizes() {
        assert_eq!(
            rfc3339(UNIX_EPOCH + Duration::from_nanos(784_111_777_500_000_000)),
            Some("1994-11-06T08:49:37Z".into())
        );
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(1 << 50)), None);
        for (size, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(Size(size).to_string(), text);
        }
    }
}
