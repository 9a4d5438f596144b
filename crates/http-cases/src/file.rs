//! Conditional requests and ranges (RFC 9110 sections 13 and 14) for files: which precondition decides, which part is sent, and with
//! which fields.

use crate::{Row, Table};

mod conditions;
mod ranges;

/// A case: fields of a request for a file, and the answer.
///
/// The files are `/ten.txt` with `0123456789`, and `/empty.txt`. Both were written at [`WRITTEN`].
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Says what is asked.
    pub name: &'static str,
    /// Why this is expected.
    pub source: &'static str,
    /// `METHOD PATH`.
    pub ask: &'static str,
    /// Lines of fields, each with its CRLF, as a [script](crate::script) in which `{tag}` stands for the file's entity tag.
    pub fields: &'static str,
    /// `STATUS`, then a space and the body. A body in parts is told as `FIRST-LAST/SIZE=CONTENT`, joined by commas.
    pub answer: &'static str,
    /// Fields of the answer beside those that every answer of its status has: `name: value`.
    pub carries: &'static [&'static str],
}

/// When the files were written, in seconds since 1970; RFC 9110 section 5.6.7 writes it in three ways.
pub const WRITTEN: u64 = 784_111_777;

/// [`WRITTEN`], as `Last-Modified` has it.
pub const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static File> {
    [conditions::CASES, ranges::CASES].into_iter().flatten()
}

/// A GET of the ten bytes.
const fn get(name: &'static str, source: &'static str, fields: &'static str, answer: &'static str) -> File {
    File { name, source, ask: "GET /ten.txt", fields, answer, carries: &[] }
}

/// For the list.
#[must_use]
pub fn table() -> Table {
    let rows = cases().map(|case| Row { name: case.name, source: case.source, expected: case.expected() });
    Table {
        title: "Conditional requests and ranges",
        about: "Of `Files`, through a `Server` and through `mphttp proxy --to`; GET of ten bytes, `0123456789`, where nothing else is said.\n\
                Every answer has `Date` and `Vary`. 200, 206 and 304 have the validators; 200 and 206 `Accept-Ranges` and a length; 206\n\
                `Content-Range`, for the whole or for each part; 416 `Content-Range` with the length; 304 neither length nor type.",
        runs: "cargo test -p mphttp-cli --test http_cases",
        rows: rows.collect(),
    }
}

impl File {
    fn expected(&self) -> String {
        let ask = if self.ask == "GET /ten.txt" { String::new() } else { format!("{}: ", self.ask) };
        let carries: String = self.carries.iter().map(|field| format!(", {field}")).collect();
        format!("{ask}{}{carries}", self.answer)
    }
}
