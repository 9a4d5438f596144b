//! What the server's answers mean for an upload: go on, try again, begin anew, give up.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::timeout;

use crate::{Error, Phase, Response, client::retry_after};

/// How much of an answer that explains itself is read, and for how long.
const EXPLANATION: usize = 4 << 10;
const EXPLAINING: Duration = Duration::from_secs(5);

/// What comes of a step that failed.
pub(super) enum Trouble {
    Fatal(Error),
    /// It may be different next time; the server may say when.
    Passing(Error, Option<Duration>),
    /// The upload is gone.
    Gone(Error),
    /// tus is not spoken there after all.
    NotTus,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let passes = match &error {
            Error::Broken { .. }
            | Error::NoAnswer { .. }
            | Error::Incomplete { .. }
            | Error::Connect { .. }
            | Error::Resolve { .. }
            | Error::FellBack { .. }
            | Error::Http { .. }
            | Error::Timeout { phase: Phase::Read | Phase::Connect | Phase::Handshake, .. } => true,
            Error::Tls { problem, .. } => !problem.is_certificate(),
            _ => false,
        };
        if passes { Self::Passing(error, None) } else { Self::Fatal(error) }
    }
}

/// The answer about an upload, if there is one and the server went along; these statuses pass.
pub(super) async fn existing(response: Response, passing: &[u16]) -> Result<Response, Trouble> {
    let status = response.status().as_u16();
    if matches!(status, 404 | 410) {
        return Err(Trouble::Gone(refused(&response, "the upload is gone")));
    }
    if passing.contains(&status) {
        let wait = retry_after(response.headers());
        return Err(Trouble::Passing(refusal(response).await, wait));
    }
    accepted(response).await
}

/// The answer, if the server went along.
pub(super) async fn accepted(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = retry_after(response.headers());
    let passes = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
    let error = refusal(response).await;
    Err(if passes { Trouble::Passing(error, wait) } else { Trouble::Fatal(error) })
}

pub(super) fn refused(response: &Response, text: &str) -> Error {
    let (url, status) = (response.url().to_string(), response.status());
    Error::UploadRefused { url, status, text: text.to_owned() }
}

/// The refusal that an answer is, with the first line of what it says.
pub(super) async fn refusal(mut response: Response) -> Error {
    let status = response.status();
    let mut said = Vec::new();
    let reading = async {
        while said.len() < EXPLANATION
            && let Ok(Some(piece)) = response.chunk().await
        {
            said.extend_from_slice(&piece);
        }
    };
    // What has come by then will do.
    let _ = timeout(EXPLAINING, reading).await;
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().next().unwrap_or_default().trim();
    // Pages are for browsers; and the status is told already.
    let line = if line.starts_with('<') { "" } else { line };
    let line = line.strip_prefix(status.as_str()).unwrap_or(line).trim();
    refused(&response, &line.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
}

pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
