//! Floods, silence and injections, as they reach the thread of an account.

use super::*;

#[tokio::test]
async fn flood_of_commands_does_not_keep_the_server_waiting() {
    let stage = Stage::new();
    let (_client, account, mut peer) = stage.online().await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let account = account.clone();
        flood.spawn(async move { while account.mark_read(&juliet()).await.is_ok() {} });
    }
    let mut events = account.events();
    for number in 0..5 {
        let text = format!("message {number}");
        peer.say(&message(&text));
        let arrived = async {
            while !matches!(events.next().await, Some(crate::Event::Message { message, .. }) if message.text == text)
            {
            }
        };
        soon(arrived).await;
        // And what is to be written is written.
        account.send(ItemId::new(), &juliet(), &text).await.unwrap();
        tokio::task::yield_now().await;
        peer.hear(&text);
    }
    flood.shutdown().await;
}

/// Says the beginning of a stream with STARTTLS, and `injected` behind `<proceed/>`, at once or a moment later.
async fn injects_plaintext(at_once: bool) {
    use std::io::{Read as _, Write as _};
    let stage = Stage::new();
    let mut connection = stage.server.connection();
    connection.server.as_mut().unwrap().direct_tls = false;
    let client = stage.client().await;
    let account = client.add_account(romeo(), connection).await.unwrap();
    let signing_in = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    let mut tcp = stage.server.accept_plain();
    let mut buffer = [0; 4096];
    assert!(tcp.read(&mut buffer).unwrap() > 0);
    tcp.write_all(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='montague.lit' id='1' version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>").unwrap();
    assert!(tcp.read(&mut buffer).unwrap() > 0);
    let (proceed, injected) = (
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
    );
    if at_once {
        tcp.write_all(format!("{proceed}{injected}").as_bytes()).unwrap();
    } else {
        tcp.write_all(proceed.as_bytes()).unwrap();
        tcp.write_all(injected.as_bytes()).unwrap();
    }
    let result = soon(signing_in).await.unwrap();
    assert!(matches!(result, Err(Error::Untrusted { .. })), "{result:?}");
}

#[tokio::test]
async fn pipelined_plaintext_after_starttls() {
    injects_plaintext(true).await;
    injects_plaintext(false).await;
}

/// A SOCKS5 proxy for one connection (RFC 1928): leads to `port` whatever name is asked for, and tells the name.
fn proxy(port: u16) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (names, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = [0; 2];
        client.read_exact(&mut head).unwrap();
        client.read_exact(&mut vec![0; head[1].into()]).unwrap();
        client.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5];
        client.read_exact(&mut request).unwrap();
        assert_eq!(request[3], 3, "a name, and no address");
        let mut name = vec![0; request[4].into()];
        client.read_exact(&mut name).unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        names.send(String::from_utf8(name).unwrap()).unwrap();
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut up, &mut down));
        let _ = std::io::copy(&mut server, &mut client);
    });
    (address, asked)
}

#[tokio::test]
async fn names_go_to_the_proxy_and_are_looked_up_by_nobody_else() {
    let stage = Stage::new();
    let (proxy, asked) = proxy(stage.server.port());
    let mut connection = stage.server.connection();
    connection.proxy = Some(proxy);
    connection.server.as_mut().unwrap().host = "hidden.onion".into();
    let client = stage.client().await;
    let account = client.add_account(romeo(), connection).await.unwrap();
    let signing_in = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    let _peer = stage.server.accept_login();
    soon(signing_in).await.unwrap().unwrap();
    assert_eq!(asked.recv().unwrap(), "hidden.onion");
}

#[tokio::test]
async fn certificate_of_a_domain_with_an_umlaut_is_compared_in_ascii() {
    let stage = Stage::new();
    let client = stage.client().await;
    let address = "romeo@b\u{fc}cher.lit".parse().unwrap();
    let account = client.add_account(address, stage.server.connection()).await.unwrap();
    account.connect().await.unwrap();
    let mut peer = stage.server.accept();
    peer.hear("<stream:stream");
}
