//! The ground that the other tests stand on: every server starts, speaks, restarts, and goes.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use interop::{Kind, Options, Server};

use crate::support::{ROMEO, peer::Peer, server};

/// What a server says to a stream header, up to the end of its features.
fn features(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server has said that it is ready");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
        .write_all(
            b"<?xml version='1.0'?><stream:stream to='a.test' version='1.0' xmlns='jabber:client' \
              xmlns:stream='http://etherx.jabber.org/streams'>",
        )
        .unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while !said.contains("</stream:features>") {
        let read = stream.read(&mut buffer).expect("a server answers a stream header");
        assert_ne!(read, 0, "the server hung up after: {said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    said
}

fn starts_restarts_and_goes(kind: Kind) {
    let Some(mut server) = server(kind, Options::default()) else { return };
    assert!(features(server.port()).contains("urn:ietf:params:xml:ns:xmpp-tls"));
    assert!(server.ca().is_file());
    server.add_users([("nurse", "a.test", "secret-n")]).unwrap();
    server.restart().unwrap();
    assert!(features(server.port()).contains("urn:ietf:params:xml:ns:xmpp-tls"));
    let (port, dir) = (server.port(), server.dir().to_owned());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the server is still there");
    assert!(!dir.exists());
}

#[test]
fn prosody_13_starts_restarts_and_goes() {
    starts_restarts_and_goes(Kind::Prosody13);
}

#[test]
fn prosody_0_12_starts_restarts_and_goes() {
    starts_restarts_and_goes(Kind::Prosody012);
}

#[test]
fn ejabberd_starts_restarts_and_goes() {
    starts_restarts_and_goes(Kind::Ejabberd);
}

#[test]
fn newer_servers_offer_everything_that_one_round_trip_needs() {
    for kind in [Kind::Prosody13, Kind::Ejabberd] {
        let Some(server) = server(kind, Options::default()) else { return };
        let features = Peer::features(&server, ROMEO.0);
        for offer in
            ["urn:xmpp:sasl:2", "urn:xmpp:bind:0", "urn:xmpp:fast:0", "HT-SHA-256-EXPR", "tls-exporter"]
        {
            assert!(features.contains(offer), "{} does not offer {offer}: {features}", kind.name());
        }
    }
}

#[test]
fn older_server_knows_nothing_of_it() {
    let Some(server) = server(Kind::Prosody012, Options::default()) else { return };
    let features = Peer::features(&server, ROMEO.0);
    assert!(features.contains("SCRAM-SHA-256") && !features.contains("urn:xmpp:sasl:2"), "{features}");
}

#[test]
fn data_in_a_given_directory_outlives_the_server() {
    let dir = interop::Scratch::new("kept").unwrap();
    let options = Options { data: Some(dir.path().join("data")), ..Options::default() };
    let Some(server) = server(Kind::Prosody13, options.clone()) else { return };
    server.add_users([("nurse", "b.test", "secret-n")]).unwrap();
    drop(server);
    let again = Server::start(Kind::Prosody13, options).unwrap();
    assert!(Path::new(&again.dir().join("data/b%2etest/accounts/nurse.dat")).is_file());
}
