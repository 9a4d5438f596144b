//! WebSocket through the proxy, with another's client and server.

use std::{net::TcpListener, thread};

use tungstenite::{Message, accept, client};

use super::support::proxy;

#[test]
fn messages_pings_and_the_close_go_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = accept(stream).unwrap();
        let mut echoed = 0;
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    socket.send(message).unwrap();
                    echoed += 1;
                }
                // Pings and the close are answered by itself.
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return echoed,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let proxy = proxy(&["--to", &url]);
    let (mut socket, answer) = client("ws://site.test/chat", proxy.connect()).unwrap();
    assert_eq!(answer.status(), 101);
    // Lengths of 7, 16 and 64 bits (RFC 6455 section 5.2).
    for message in
        [Message::text("hello"), Message::binary(vec![7; 60_000]), Message::binary(vec![8; 1 << 20])]
    {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping("there?".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("there?".into()));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    assert_eq!(server.join().unwrap(), 3);
}
