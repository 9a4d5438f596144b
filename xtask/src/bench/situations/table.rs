//! The table for people.

use super::clients::Client;
use super::fetch::End;
use super::outcome::{Column, Row};
use super::rows::Wanted;
use crate::report::Environment;

/// The whole document.
pub fn markdown(clients: &[Client], rows: &[Row], rounds: usize, quick: bool, here: &Environment) -> String {
    let mut text = String::from(
        "# Two links, situation by situation\n\n\
         Two hosts with two links between them, and a file that `mphttp serve` offers: 100 MB, but 1 MB in rows 13 and 14.\n\
         *Plain TCP* is `mphttp get --protocol tcp --paths off`, on the better link where one is better; *mphttp* is\n\
         `mphttp get` as it is; *Go* is net/http and *libcurl* is libcurl, both asking for Multipath TCP. The hosts are set up\n\
         so that the kernel's Multipath TCP has both links; nobody sets them up again in row 12, where the addresses of its\n\
         endpoints are gone for good. Every fetch has hosts and links of its own.\n\n\
         Mbit/s are the file's bits by the time from the start of a program to its end (Python's own start is in libcurl's),\n\
         in brackets how many times as fast as plain TCP in the same round. The *gap* is the longest time in which less than\n\
         10 kB arrived at the client's interfaces, in any round. In rows 13 and 14 the time is that from the start of a\n\
         program to the first bytes of the answer there. *Whole* is a file whose SHA-256 is that of the one served. Delays\n\
         are one way. In no row may mphttp be more than 2 % slower than plain TCP.\n\n",
    );
    if quick {
        text += "**A quick run, with 20 MB: it shows that the bench works, not how fast anything is.**\n\n";
    }
    text += &here.text();
    text += &format!(" The median of {rounds}; every sample is in\n[situations.json](situations.json).\n\n");
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut heads = vec![String::new(), "situation".to_owned()];
    heads.extend(clients.iter().map(|client| client.name().to_owned()));
    heads.extend(["wanted".to_owned(), "met".to_owned()]);
    text += &line(&heads);
    text += &format!("|--:|{}\n", "---|".repeat(heads.len() - 1));
    for row in rows {
        let mut cells = vec![row.number.to_string(), row.situation.to_owned()];
        cells.extend(row.columns.iter().map(|column| cell(row, column)));
        cells.push(wanted(row.wanted));
        cells.push(row.met().map_or("not measured", |met| if met { "yes" } else { "**no**" }).to_owned());
        text += &line(&cells);
    }
    text
}

fn wanted(wanted: Wanted) -> String {
    match wanted {
        Wanted::Ratio(ratio) => format!("{ratio:.2}"),
        Wanted::Whole(Some(gap)) => format!("whole, gap up to {gap:.1} s"),
        Wanted::Whole(None) => "whole".to_owned(),
        Wanted::FirstBytes(limit) => format!("up to {limit:.1} s"),
    }
}

fn cell(row: &Row, column: &Column) -> String {
    let (end, count) = column.worst_end();
    let rounds = column.fetches.len();
    let often = if count == rounds { String::new() } else { format!(" in {count} of {rounds}") };
    let seconds = column.seconds(end).unwrap_or_default();
    let bad = match end {
        End::Whole => None,
        End::Wrong => Some(format!("**wrong bytes as if all were well**{often}")),
        End::Hung => Some(format!("**hangs**{often} (more than {seconds:.0} s)")),
        End::Failed => Some(format!("**fails**{often} after {seconds:.2} s")),
    };
    let rate = || {
        let ratio = row.ratio(column).map(|ratio| format!(" ({ratio:.3})")).unwrap_or_default();
        row.rate(column).map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1} Mbit/s{ratio}"))
    };
    match row.wanted {
        Wanted::Ratio(_) => bad.unwrap_or_else(rate),
        Wanted::Whole(_) => {
            let how = bad.unwrap_or_else(|| format!("whole, {}", rate()));
            format!("{how}, gap {:.2} s", column.worst_gap())
        }
        Wanted::FirstBytes(_) => {
            let first = column.first_bytes().map_or("no bytes".to_owned(), |first| format!("{first:.3} s"));
            let connect = column.connect().map(|connect| format!(", connected in {connect:.3} s"));
            let bad = bad.map(|bad| format!(", {bad}"));
            first + &connect.unwrap_or_default() + &bad.unwrap_or_default()
        }
    }
}
