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
            while !matches!(events.next().await, Some(crate::Event::Message(message)) if message.text == text)
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

#[tokio::test]
async fn flood_of_stanzas_does_not_keep_the_app_waiting() {
    let stage = Stage::new();
    let (client, account, mut peer) = stage.online().await;
    let flood = std::thread::spawn(move || {
        let many: String = (0..200).map(|_| "<message from='juliet@capulet.lit/balcony'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>").collect();
        while peer.try_say(&many).is_ok() {}
    });
    for number in 0..20 {
        soon(account.send(ItemId::new(), &juliet(), &format!("message {number}"))).await.unwrap();
    }
    soon(client.suspend(PATIENCE)).await;
    flood.join().unwrap();
    assert_eq!(stage.open_files(), Vec::<String>::new());
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
