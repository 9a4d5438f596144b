//! What a case sends, as text with words in braces for what text can't say well.
//!
//! | word | meaning |
//! |---|---|
//! | `{site}` | what stands before the path of a request: nothing for a server, `http://host:port` for a forward proxy |
//! | `{host}` | the name and port of the server that is asked |
//! | `{a*1000}` | `a` a thousand times; any text without a brace or an asterisk |
//! | `{hex:80ff}` | these bytes |
//! | `{answer}` | read an answer before going on (a request's script), or a request (an answer's) |
//! | `{end}` | close this direction of the connection |

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Read a message of the other side before going on.
    Read,
    /// Close the sending direction.
    End,
}

/// A script as steps.
///
/// # Errors
/// The word in braces that is none.
pub fn steps(script: &str, site: &str, host: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = script;
    while let Some((text, tail)) = rest.split_once('{') {
        let (word, tail) = tail.split_once('}').ok_or_else(|| format!("`{{{tail}` has no end"))?;
        send(&mut steps, text.as_bytes());
        match word {
            "site" => send(&mut steps, site.as_bytes()),
            "host" => send(&mut steps, host.as_bytes()),
            "answer" => steps.push(Step::Read),
            "end" => steps.push(Step::End),
            word => {
                send(&mut steps, &bytes(word).ok_or_else(|| format!("`{{{word}}}` is no word of a script"))?)
            }
        }
        rest = tail;
    }
    send(&mut steps, rest.as_bytes());
    Ok(steps)
}

/// What is sent at once goes into one piece.
fn send(steps: &mut Vec<Step>, bytes: &[u8]) {
    match steps.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Step::Send(piece)) => piece.extend_from_slice(bytes),
        _ => steps.push(Step::Send(bytes.to_vec())),
    }
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    if let Some(digits) = word.strip_prefix("hex:") {
        let pairs = digits.as_bytes().chunks(2);
        return pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    }
    let (text, times) = word.rsplit_once('*')?;
    Some(text.repeat(times.parse().ok()?).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_becomes_steps() {
        let script = "GET {site}/ HTTP/1.1\r\nHost: {host}\r\nA: {ab*2}{hex:00ff}\r\n\r\n{answer}x{end}";
        let found = steps(script, "http://h:1", "h:1").unwrap();
        let first = b"GET http://h:1/ HTTP/1.1\r\nHost: h:1\r\nA: abab\x00\xff\r\n\r\n".to_vec();
        assert_eq!(found, [Step::Send(first), Step::Read, Step::Send(b"x".to_vec()), Step::End]);
        for wrong in ["{nothing}", "{end", "{a*b}", "{hex:zz}"] {
            assert!(steps(wrong, "", "").is_err(), "{wrong}");
        }
    }
}
