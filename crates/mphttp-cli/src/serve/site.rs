//! The options of `mphttp serve` that say to whom the files go, and with what around them; and the way of a request
//! through them. Where none is given, no request comes here.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use clap::Args;
use http::{Request, Response};
use mphttp::{Body, server::RequestBody};

use super::{
    Site,
    auth::{Accounts, challenge},
};

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
}

impl SiteArgs {
    /// What requests have to go through; `None` if that is nothing.
    pub fn rules(&self) -> anyhow::Result<Option<Rules>> {
        let accounts = Accounts::new(&self.auth, self.auth_file.as_deref())?;
        let rules = Rules { accounts };
        Ok(rules.any().then_some(rules))
    }
}

/// The user whose request it is, among the extensions of its answer.
#[derive(Clone, Debug)]
pub struct User(pub Arc<str>);

/// What stands between a request and the files.
#[derive(Debug)]
pub struct Rules {
    accounts: Option<Accounts>,
}

impl Rules {
    fn any(&self) -> bool {
        self.accounts.is_some()
    }

    /// What to say at the start.
    pub fn warning(&self, ip: IpAddr, tls: bool) -> Option<&'static str> {
        (self.accounts.is_some() && !tls && !ip.is_loopback()).then_some(
            "Warning: without TLS, whoever is on the way can read the passwords: add --self-signed or --tls-cert.",
        )
    }

    /// Answers a request, or has it answered from the site.
    pub async fn answer(&self, site: &Site, request: Request<RequestBody>) -> Response<Body> {
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
