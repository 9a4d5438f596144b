//! `Upload-Metadata` (tus, creation extension): pairs of a key and a value in Base64. Of it the file's name is used,
//! which comes from anybody and may say anything.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What a file system takes as one name, with room for a suffix.
const LONGEST: usize = 240;

/// The value of a key, if the header holds it in valid Base64.
pub(crate) fn value(header: &str, key: &str) -> Option<Vec<u8>> {
    header.split(',').find_map(|pair| {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        (name == key).then(|| STANDARD.decode(value.trim()).ok())?
    })
}

/// A plain name out of whatever a client calls its file: what follows the last separator, without control characters,
/// without dots in front (which would hide it), cut to what file systems take. `None` if nothing is left.
pub(super) fn plain_name(name: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(name);
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace()).trim_end();
    let end = (0..=name.len().min(LONGEST)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    let name = name.get(..end).unwrap_or_default();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_among_the_pairs() {
        let header = "is_confidential,filename d29ybGQ=,type dGV4dA==";
        assert_eq!(value(header, "filename"), Some(b"world".to_vec()));
        assert_eq!(value(header, "type"), Some(b"text".to_vec()));
        assert_eq!(value(header, "is_confidential"), Some(Vec::new()));
        assert_eq!(value(header, "name"), None);
        assert_eq!(value("filename %%%", "filename"), None);
    }

    #[test]
    fn whatever_it_is_called_it_becomes_one_plain_name() {
        for (from, to) in [
            ("a b.iso", Some("a b.iso")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\me\\x.txt", Some("x.txt")),
            (".bashrc", Some("bashrc")),
            (".. .hidden", Some("hidden")),
            ("a\0b\nc", Some("abc")),
            ("/", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(plain_name(from.as_bytes()).as_deref(), to, "{from:?}");
        }
        assert!(plain_name("ä".repeat(500).as_bytes()).unwrap().len() <= LONGEST);
    }
}
