//! actix-web: it takes a listener of std's; a connection's transport is judged when it begins, and asked of its socket later.
use actix_web::{App, HttpRequest, HttpServer, rt::net::TcpStream, web};
use mptcp_socket::{Listen, Origin, OwnedSocket, Protocol, Transport};

/// A connection's socket, to ask, and what is known of how it came to be.
struct Connection(OwnedSocket, Origin);

async fn how(request: HttpRequest) -> String {
    match request.conn_data::<Connection>() {
        Some(Connection(socket, origin)) => Transport::with_origin(socket, origin)
            .map_or_else(|error| error.to_string(), |how| how.to_string()),
        None => "unknown".into(),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listening = Listen::new(Protocol::from_env()?).bind(address)?;
    let accepts = listening.accepts();
    println!("listening on {}", listening.local_addr()?);
    HttpServer::new(|| App::new().route("/", web::get().to(how)))
        .on_connect(move |stream, data| {
            // The socket is duplicated: what is asked must not be closed meanwhile, and actix keeps the stream.
            if let Some(stream) = stream.downcast_ref::<TcpStream>()
                && let Ok(socket) = std::os::fd::AsFd::as_fd(stream).try_clone_to_owned()
            {
                data.insert(Connection(socket, accepts.origin(stream)));
            }
        })
        .listen(listening.into_std())?
        .workers(1)
        .run()
        .await?;
    Ok(())
}
