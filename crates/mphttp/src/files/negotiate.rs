//! Proactive negotiation: lists with weights (RFC 9110 section 12.4.2), and `Accept` (section 12.5.1).

use http::header::{self, HeaderMap, HeaderName};

/// A weight in thousandths, 0 to 1000.
pub(super) type Weight = u16;

/// The members of a weighted list, without their parameters. Members with a malformed weight are left out.
pub(super) fn weighted(headers: &HeaderMap, name: HeaderName) -> Vec<(&str, Weight)> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(member).collect()
}

fn member(text: &str) -> Option<(&str, Weight)> {
    let mut pieces = text.split(';').map(str::trim);
    let name = pieces.next().filter(|name| !name.is_empty())?;
    let q = pieces.find_map(|piece| {
        let (key, value) = piece.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    Some((name, q.map_or(Some(1000), weight)?))
}

/// `0`, `1`, `0.123`, `1.000`.
fn weight(text: &str) -> Option<Weight> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Whether a listing is wanted as JSON rather than HTML: by weight, then by which of them is named more exactly. People
/// win a tie.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = weighted(headers, header::ACCEPT);
    let rank = |kind: &str, media: &str| {
        let whole_kind = format!("{kind}/*");
        let exact = format!("{kind}/{media}");
        let of = |range: &str| {
            accept
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(range))
                .map(|(_, weight)| *weight)
                .max()
        };
        // The most specific range decides (section 12.5.1), even against a heavier general one.
        let ranks = [(of(&exact), 3), (of(&whole_kind), 2), (of("*/*"), 1)];
        ranks.into_iter().find_map(|(weight, exactness)| Some((weight?, exactness))).unwrap_or((0, 0))
    };
    let json = rank("application", "json");
    json.0 > 0 && json > rank("text", "html")
}

/// Whether a page is asked for by name, as browsers do for an address that is opened: they take `*/*` for scripts and
/// pictures, which a page is none of.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let is_page = |name: &str| {
        name.eq_ignore_ascii_case("text/html") || name.eq_ignore_ascii_case("application/xhtml+xml")
    };
    weighted(headers, header::ACCEPT).into_iter().any(|(name, weight)| weight > 0 && is_page(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        headers
    }

    #[test]
    fn weights_are_thousandths() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.001", Some(1)),
            ("0.", Some(0)),
            ("1.001", None),
            ("2", None),
            ("-1", None),
            ("0.1234", None),
            ("0.+1", None),
            ("", None),
        ] {
            assert_eq!(weight(text), expected, "{text}");
        }
    }

    #[test]
    fn html_for_people_and_json_for_programs() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0.9, text/html;q=0.8", true),
            ("application/*", true),
            ("text/*;q=0.4, application/json;q=0.5", true),
            (browser, false),
            ("*/*", false),
            ("image/png", false),
            ("application/json, text/html", false),
            ("application/json;q=0.5, text/html", false),
            ("application/json;q=0", false),
            ("application/json;q=0, */*;q=0.1", false),
            ("application/json;q=nonsense", false),
        ] {
            assert_eq!(wants_json(&accept(value)), json, "{value}");
        }
        assert!(!wants_json(&HeaderMap::new()));
    }
}
