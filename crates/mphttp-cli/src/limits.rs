//! What clients may have of a server, and for how long: one set of options for every verb that serves. docs/limits.md has them
//! all in a table.

use std::time::Duration;

use clap::Args;
use mphttp::Server;

use crate::{get::seconds, listening::positive, serve_uploads::size};

/// The limits towards clients.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Serve at most this many connections at once, upgraded ones and tunnels included. At the limit, for each further client the
    /// connection is closed that has been idle for longest; while none is, clients wait.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    max_connections: usize,
    /// Serve at most this many connections at once of one address, of IPv6 one network of 64 bits, and close further ones. This
    /// host, and whose PROXY protocol headers are believed, are not limited [default: a quarter of --max-connections, at least
    /// 16].
    #[arg(long, value_name = "N", value_parser = positive)]
    max_connections_per_address: Option<usize>,
    /// The limit for the head of a request, from its first byte, in seconds; on a new connection, from its beginning.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    head_timeout: Duration,
    /// How long a connection may be idle between two requests, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "75")]
    keep_alive_timeout: Duration,
    /// The limit for the TLS handshake with a client, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    tls_timeout: Duration,
    /// The longest head of a request, in bytes, 8 KiB at least; 64K (powers of 1000) and 64Ki (of 1024) are understood.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "128Ki")]
    max_head: u64,
    /// How many requests of one HTTP/2 connection may be under way at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 128)]
    max_streams: u32,
}

impl LimitArgs {
    /// Holds a server's clients to them.
    pub fn of(&self, server: Server) -> Server {
        let server = server
            .max_connections(self.max_connections)
            .header_read_timeout(self.head_timeout)
            .keep_alive_timeout(self.keep_alive_timeout)
            .tls_handshake_timeout(self.tls_timeout)
            .max_header_bytes(usize::try_from(self.max_head).unwrap_or(usize::MAX))
            .max_concurrent_streams(self.max_streams);
        match self.max_connections_per_address {
            Some(connections) => server.max_connections_per_address(connections),
            None => server,
        }
    }
}
