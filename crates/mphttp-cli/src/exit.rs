//! The exit codes, in one place: distinct for what a script would treat differently, and curl's where curl has one.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for was done.
    Ok = 0,
    /// Something that has no code of its own.
    Other = 1,
    /// The command line is wrong: an unknown option, a value that can't be used.
    Usage = 2,
    /// The URL is none, or not one that can be requested.
    BadUrl = 3,
    /// The name of the host could not be resolved.
    Resolve = 6,
    /// No connection could be made, or a listener could not be.
    Connect = 7,
    /// What the server sent is not valid HTTP.
    NotHttp = 8,
    /// The transfer ended before it was whole.
    CutShort = 18,
    /// The server answered with a status of 400 or above, and `--fail` was given, or it was an upload.
    Http = 22,
    /// Output could not be written: no permission, disk full.
    Write = 23,
    /// A file for the request could not be read.
    Read = 26,
    /// A time limit passed.
    TimedOut = 28,
    /// TLS failed: the handshake, or its set-up.
    Tls = 35,
    /// Too many redirects, or one that may not be followed.
    Redirects = 47,
    /// The server closed the connection without an answer.
    NoAnswer = 52,
    /// The connection broke before the answer.
    Broken = 56,
    /// The server's certificate is not to be trusted, or for another name.
    Certificate = 60,
    /// The body is not in the coding that it claims.
    Decode = 61,
    /// The file of `--cacert` can't be used.
    CaCertificate = 77,
    /// The proxy would not carry the request.
    Proxy = 97,
    /// The response headers are too large.
    TooLarge = 100,
    /// The body is not the one that its checksum names.
    Checksum = 102,
    /// `--protocol mptcp-only` was given, and the connection speaks TCP, or this host can't do MPTCP; `doctor`: MPTCP
    /// doesn't work.
    NotMptcp = 120,
    /// `doctor`: MPTCP works, and something keeps it from being what it could be.
    Findings = 121,
    /// `paths auto`: somebody else manages this host's paths, or has taken over.
    Managed = 122,
    /// Ended by SIGHUP, with a transfer unfinished.
    HungUp = 129,
    /// Ended by SIGINT, with a transfer unfinished.
    Interrupted = 130,
    /// Ended by SIGTERM, with a transfer unfinished.
    Terminated = 143,
}

impl Exit {
    /// The table for `--help`.
    pub const HELP: &'static str = "\
Exit codes:
    0  done
    1  another error
    2  wrong usage
    3  the URL can't be used
    6  the host's name can't be resolved
    7  no connection, or no listener, could be made
    8  the answer is not valid HTTP
   18  the transfer was cut short
   22  HTTP status 400 or above, with --fail or for an upload
   23  output can't be written
   26  a file to send can't be read
   28  a time limit passed
   35  the TLS handshake failed
   47  too many redirects, or one that may not be followed
   52  the server gave no answer
   56  the connection broke before the answer
   60  the certificate is not trusted, or for another name
   61  the body can't be decompressed
   77  the file of --cacert can't be used
   97  the proxy would not carry the request
  100  the response headers are too large
  102  the body does not have its checksum
  120  --protocol mptcp-only could not be met; doctor: MPTCP does not work
  121  doctor: MPTCP works, and there are findings
  122  paths auto: somebody else manages this host's paths
  129  ended by SIGHUP
  130  ended by SIGINT (Ctrl-C)
  143  ended by SIGTERM";

    /// A stable word, for `--json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Other => "other",
            Self::Usage => "usage",
            Self::BadUrl => "bad-url",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::NotHttp => "not-http",
            Self::CutShort => "cut-short",
            Self::Http => "http-status",
            Self::Write => "write",
            Self::Read => "read",
            Self::TimedOut => "timeout",
            Self::Tls => "tls",
            Self::Redirects => "redirects",
            Self::NoAnswer => "no-answer",
            Self::Broken => "broken",
            Self::Certificate => "certificate",
            Self::Decode => "decode",
            Self::CaCertificate => "ca-certificate",
            Self::Proxy => "proxy",
            Self::TooLarge => "too-large",
            Self::Checksum => "checksum",
            Self::NotMptcp => "not-mptcp",
            Self::Findings => "findings",
            Self::Managed => "managed",
            Self::HungUp => "hung-up",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

impl From<&mptcp_socket::Error> for Exit {
    fn from(error: &mptcp_socket::Error) -> Self {
        use mptcp_socket::Error;
        match error {
            Error::UnknownProtocol { .. } => Self::Usage,
            Error::Resolve { .. } => Self::Resolve,
            Error::NoAddress | Error::Connect { .. } | Error::Listen { .. } => Self::Connect,
            Error::TimedOut { .. } => Self::TimedOut,
            Error::NotMptcp { .. } => Self::NotMptcp,
            _ => Self::Other,
        }
    }
}

impl From<&mptcp_paths::Error> for Exit {
    fn from(error: &mptcp_paths::Error) -> Self {
        use mptcp_paths::Error;
        match error {
            Error::Managed(_) | Error::TakenAway(_) => Self::Managed,
            _ => Self::Other,
        }
    }
}

impl From<&mphttp::Error> for Exit {
    fn from(error: &mphttp::Error) -> Self {
        use mphttp::Error;
        match error {
            Error::Socket(error) => Self::from(error),
            Error::BadUrl { .. } => Self::BadUrl,
            Error::Invalid { .. } => Self::Usage,
            Error::Resolve { .. } => Self::Resolve,
            error if error.is_timeout() => Self::TimedOut,
            Error::Connect { .. } => Self::Connect,
            Error::Proxy { .. } => Self::Proxy,
            Error::NotMptcp { .. } => Self::NotMptcp,
            Error::FellBack { .. } => Self::CutShort,
            Error::Tls { problem, .. } if problem.is_certificate() => Self::Certificate,
            Error::Tls { .. } | Error::TlsFile { .. } | Error::TlsSetup(_) => Self::Tls,
            Error::TooManyRedirects { .. } | Error::Redirect { .. } => Self::Redirects,
            Error::NoAnswer { .. } => Self::NoAnswer,
            Error::Broken { .. } => Self::Broken,
            Error::HeadersTooLarge { .. } => Self::TooLarge,
            Error::Http { .. } => Self::NotHttp,
            Error::Incomplete { .. } => Self::CutShort,
            Error::Decode { .. } => Self::Decode,
            Error::Status { .. } | Error::Busy { .. } | Error::UploadRefused { .. } => Self::Http,
            Error::Write { .. } => Self::Write,
            Error::Checksum { .. } => Self::Checksum,
            Error::Changed { .. } => Self::CutShort,
            Error::Read { .. } | Error::FileChanged { .. } => Self::Read,
            Error::GaveUp { source, .. } | Error::UploadStuck { source, .. } => Self::from(&**source),
            _ => Self::Other,
        }
    }
}
