//! The options of `mphttp serve` that say to whom the files go, and with what around them; and the way of a request
//! through them. Where none is given, no request comes here.

use std::{
    net::IpAddr,
    path::{Component, PathBuf},
    sync::Arc,
};

use clap::Args;
use http::{HeaderName, HeaderValue, Request, Response, header};
use mphttp::{
    Body,
    files::{CacheRule, Files},
    server::RequestBody,
};

use super::{
    Site,
    auth::{Accounts, challenge},
    cors::{Cors, origin},
};
use crate::{error_reporting::Failure, exit::Exit};

/// Who may see what, and how it is sent.
#[derive(Args, Debug)]
pub struct SiteArgs {
    /// Ask for a name and a password (RFC 7617), for everything; can be given several times. The other users of this
    /// computer can read it in its list of processes, and without TLS so can whoever is on the way: see --auth-file.
    #[arg(long, value_name = "USER:PASSWORD")]
    auth: Vec<String>,
    /// Ask for a name and a password from this file, USER:HASH a line, with bcrypt hashes: htpasswd -cB FILE USER makes
    /// one. It is read at the start.
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Let scripts of other sites read what is served (CORS): those of this origin, such as --cors=https://example.org;
    /// can be given several times. Without an origin: those of all sites.
    #[arg(long, value_name = "ORIGIN", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    #[arg(value_parser = origin)]
    cors: Vec<String>,
    /// Send this header field with every answer; can be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The file that answers for its directory. With an empty name directories are listed, whatever is in them.
    #[arg(long, value_name = "FILE", default_value = "index.html", value_parser = name)]
    index: String,
    /// Serve and list what has a name that begins with a dot, too.
    #[arg(long)]
    hidden: bool,
    /// How long caches may keep files, in seconds, or as Cache-Control has it; with PATTERN= before it, for these files:
    /// --cache 60 --cache 'assets/*=31536000,immutable'. Can be given several times; the first pattern that fits decides
    /// [default: nothing is said, and caches guess].
    #[arg(long, value_name = "RULE")]
    cache: Vec<CacheRule>,
    /// Answer with FILE (index.html without one) where there is nothing, for applications that have routes of their own:
    /// only if the client asks for HTML, which browsers do for pages, and not for scripts or pictures.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html")]
    spa: Option<PathBuf>,
    /// Compress text and the like on the fly (zstd, gzip), for clients that take it. It costs processor time, and such
    /// answers have no ranges; requests for ranges, as mphttp get makes them, get the file as it is. FILE.br, FILE.zst
    /// and FILE.gz beside a FILE are sent without this, and cost nothing.
    #[arg(long)]
    compress: bool,
}

/// Those that the server sets itself, since they say where a message ends and what it is made of.
const OWN: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::DATE,
];

/// A header field, `Name: value`.
fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a field is NAME: VALUE")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "that is no field's name")?;
    if OWN.contains(&name) {
        return Err(format!("the server sets {name} itself"));
    }
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "that is no field's value")?;
    Ok((name, value))
}

/// The name of a file that is in the directory itself, or none.
fn name(text: &str) -> Result<String, String> {
    if text.contains('/') || text == "." || text == ".." {
        return Err("give the name alone, without a directory".to_owned());
    }
    Ok(text.to_owned())
}

impl SiteArgs {
    /// What requests have to go through; `None` if that is nothing.
    pub fn rules(&self) -> anyhow::Result<Option<Rules>> {
        let accounts = Accounts::new(&self.auth, self.auth_file.as_deref())?;
        let rules = Rules { accounts, cors: Cors::new(&self.cors), headers: self.headers.clone() };
        Ok(rules.any().then_some(rules))
    }

    /// How the files are served.
    ///
    /// # Errors
    /// If the page of `--spa` is not there: it would never be sent.
    pub fn shape(&self, files: Files) -> anyhow::Result<Files> {
        let files = files
            .index(&self.index)
            .hidden(self.hidden)
            .compress(self.compress)
            .cache(self.cache.iter().cloned());
        let Some(page) = &self.spa else { return Ok(files) };
        let plain = page.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !files.root().join(page).is_file() {
            let message = format!("--spa: {} is no file in {}", page.display(), files.root().display());
            let hint = "name one by its path below the directory that is served: --spa=app/index.html";
            return Err(Failure::new(Exit::Usage, message).hint(hint).into());
        }
        Ok(files.fallback(page))
    }
}

/// The user whose request it is, among the extensions of its answer.
#[derive(Clone, Debug)]
pub struct User(pub Arc<str>);

/// What stands between a request and the files.
#[derive(Debug)]
pub struct Rules {
    accounts: Option<Accounts>,
    cors: Option<Cors>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Rules {
    fn any(&self) -> bool {
        self.accounts.is_some() || self.cors.is_some() || !self.headers.is_empty()
    }

    /// Whether a password is asked for.
    pub fn asks(&self) -> bool {
        self.accounts.is_some()
    }

    /// What to say at the start.
    pub fn warning(&self, ip: IpAddr, tls: bool) -> Option<&'static str> {
        (self.asks() && !tls && !ip.is_loopback()).then_some(
            "Warning: without TLS, whoever is on the way can read the passwords: add --self-signed or --tls-cert.",
        )
    }

    /// Answers a request, or has it answered from the site.
    pub async fn answer(&self, site: &Site, request: Request<RequestBody>) -> Response<Body> {
        let mut response = match &self.cors {
            // Before the password is asked for: browsers send none with a preflight.
            Some(cors) => cors.around(request, |request| self.to_whom_it_is_for(site, request)).await,
            None => self.to_whom_it_is_for(site, request).await,
        };
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }

    async fn to_whom_it_is_for(&self, site: &Site, request: Request<RequestBody>) -> Response<Body> {
        let user = match &self.accounts {
            None => None,
            Some(accounts) => match accounts.user(request.headers()).await {
                Some(user) => Some(User(user)),
                None => return challenge(),
            },
        };
        let mut response = site.respond(request).await;
        if let Some(user) = user {
            response.extensions_mut().insert(user);
        }
        response
    }
}
