//! A bare XML parser that reads the same pages: TLS, login, query by query, and every event thrown away.
//!
//! What nobody can go below. It sets TCP_NODELAY and TCP_QUICKACK, writes each query at once, and looks at events only as
//! far as it must to ask for the next page.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Args;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rxml::{Event, Parse as _, Parser, error::EndOrError};
use socket2::SockRef;

use crate::{Result, children, clocks};

/// Stands for the query's id in what is recorded; as long as any UUID.
pub(crate) const QUERY: &str = "8f14e45f-ceea-467f-a0e6-00000000page";

#[derive(Args)]
struct Login {
    /// Direct TLS, on loopback
    #[arg(long)]
    port: u16,
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    account: String,
    #[arg(long)]
    password: String,
}

impl Login {
    fn wire(&self) -> Result<Wire> {
        Wire::log_in(self.port, &self.ca, &self.account, &self.password)
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    login: Login,
    /// The archive's id behind which to begin
    #[arg(long)]
    after: String,
    /// Messages to ask for at once
    #[arg(long)]
    page: u32,
    /// With stream management, acknowledged at each page's end: what that costs the server is not the phone's doing
    #[arg(long)]
    managed: bool,
    /// Keeps the pages here, for the replay
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Says `1`, `2` and so on, as fast as the server takes it, and that is all.
#[derive(Args)]
pub(crate) struct Say {
    #[command(flatten)]
    login: Login,
    #[arg(long)]
    to: String,
    #[arg(long)]
    count: u32,
}

pub(crate) fn say(arguments: &Say) -> Result<()> {
    let texts: Vec<String> = (1..=arguments.count).map(|number| number.to_string()).collect();
    arguments.login.wire()?.send_messages(&arguments.to, &texts)
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut wire = arguments.login.wire()?;
    if arguments.managed {
        wire.write("<enable xmlns='urn:xmpp:sm:3'/>")?;
        wire.until("enabled")?;
    }
    children::say(&serde_json::json!({ "ready": true }));
    children::wait_for_word()?;

    let (began, cpu) = (Instant::now(), clocks::process());
    let mut recorded: Vec<Vec<u8>> = Vec::new();
    let mut after = arguments.after.clone();
    let (mut messages, mut pages) = (0u64, 0u64);
    loop {
        wire.record = arguments.record.is_some().then(Vec::new);
        let max = arguments.page;
        let ack = arguments.managed.then(|| format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", messages + pages));
        wire.write(&format!(
            "{}<iq type='set' id='{QUERY}'><query xmlns='urn:xmpp:mam:2' queryid='{QUERY}'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field></x>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>{max}</max><after>{after}</after></set></query></iq>",
            ack.unwrap_or_default(),
        ))?;
        let page = wire.page(|_| ())?;
        pages += 1;
        messages += page.results;
        recorded.extend(wire.record.take());
        match page.last {
            Some(last) if !page.complete => after = last,
            _ => break,
        }
    }
    let (wall, cpu) = (began.elapsed(), clocks::process() - cpu);
    if let Some(path) = &arguments.record {
        let pages: Vec<&str> =
            recorded.iter().map(|page| std::str::from_utf8(page)).collect::<std::result::Result<_, _>>()?;
        std::fs::write(path, serde_json::to_string(&pages)?)?;
    }
    let done = serde_json::json!({ "messages": messages, "pages": pages, "ms": wall.as_secs_f64() * 1e3, "cpu_us": cpu });
    children::say(&serde_json::json!({ "done": done }));
    children::wait_for_word()
}

/// A connection, read event by event.
pub(crate) struct Wire {
    stream: StreamOwned<ClientConnection, TcpStream>,
    parser: Parser,
    depth: usize,
    buffer: Vec<u8>,
    record: Option<Vec<u8>>,
}

#[derive(Default)]
struct Page {
    results: u64,
    complete: bool,
    last: Option<String>,
}

impl Wire {
    /// Connects with direct TLS on loopback, logs in with PLAIN, and binds.
    pub(crate) fn log_in(port: u16, ca: &Path, account: &str, password: &str) -> Result<Self> {
        let (node, domain) = account.split_once('@').ok_or("an account without domain")?;
        let mut wire = Self::connect(port, ca, domain)?;
        wire.open(domain)?;
        let plain = BASE64_STANDARD.encode(format!("\0{node}\0{password}"));
        wire.write(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        ))?;
        wire.until("success")?;
        wire.open(domain)?;
        wire.write("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")?;
        wire.until("iq")?;
        Ok(wire)
    }

    fn connect(port: u16, ca: &Path, domain: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(domain.to_owned())?)?;
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        tcp.set_nodelay(true)?;
        let stream = StreamOwned::new(connection, tcp);
        Ok(Self { stream, parser: Parser::default(), depth: 0, buffer: vec![0; 64 * 1024], record: None })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    fn open(&mut self, domain: &str) -> Result<()> {
        self.parser = Parser::default();
        self.depth = 0;
        self.write(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='{domain}'>"
        ))?;
        self.until("features")
    }

    /// Sends texts, and returns when the server has taken them.
    pub(crate) fn send_messages(&mut self, to: &str, texts: &[String]) -> Result<()> {
        for text in texts {
            let id = uuid::Uuid::from_u128(rand::random());
            self.write(&format!(
                "<message type='chat' to='{to}' id='{id}'><body>{text}</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
            ))?;
        }
        self.write("<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>")?;
        self.until("iq")
    }

    /// The texts of everything in the account's archive, oldest first.
    pub(crate) fn archived_bodies(&mut self, page: u32) -> Result<Vec<String>> {
        let (mut bodies, mut after) = (Vec::new(), String::new());
        loop {
            self.write(&format!(
                "<iq type='set' id='{QUERY}'><query xmlns='urn:xmpp:mam:2' queryid='{QUERY}'><set xmlns='http://jabber.org/protocol/rsm'>\
                 <max>{page}</max>{after}</set></query></iq>"
            ))?;
            let page = self.page(|body| bodies.push(body))?;
            match page.last {
                Some(last) if !page.complete => after = format!("<after>{last}</after>"),
                _ => return Ok(bodies),
            }
        }
    }

    /// Reads until a stanza of this name is over.
    fn until(&mut self, name: &str) -> Result<()> {
        let mut found = false;
        self.events(|depth, event| {
            if let Event::StartElement(_, (_, local), _) = event {
                found |= depth == 2 && local == name;
            }
            found && depth == 1
        })
    }

    /// Reads a page to its end, and hands on the texts of its messages.
    fn page(&mut self, mut body: impl FnMut(String)) -> Result<Page> {
        let mut page = Page::default();
        let (mut over, mut in_last, mut in_body) = (false, false, None);
        self.events(|depth, event| {
            match event {
                Event::StartElement(_, (_, local), attributes) => match local.as_str() {
                    "result" if depth == 3 => page.results += 1,
                    "fin" if depth == 3 => {
                        over = true;
                        let complete = attributes.iter().find(|((_, name), _)| *name == "complete");
                        page.complete = complete.is_some_and(|(_, value)| value == "true");
                    }
                    "last" => in_last = over,
                    // A stanza, its result, forwarded, the message.
                    "body" if depth == 6 => in_body = Some(String::new()),
                    _ => {}
                },
                Event::Text(_, text) => match &mut in_body {
                    Some(body) => body.push_str(text),
                    None if in_last => page.last = Some(text.clone()),
                    None => {}
                },
                Event::EndElement(_) => {
                    in_last = false;
                    if let Some(text) = in_body.take() {
                        body(text);
                    }
                }
                _ => {}
            }
            over && depth == 1
        })?;
        Ok(page)
    }

    /// Reads events until `enough` says so; the depth is the one behind the event.
    fn events(&mut self, mut enough: impl FnMut(usize, &Event) -> bool) -> Result<()> {
        loop {
            let count = self.stream.read(&mut self.buffer)?;
            let _ = SockRef::from(&self.stream.sock).set_tcp_quickack(true);
            let mut rest = &self.buffer[..count];
            if rest.is_empty() {
                return Err("the server hung up".into());
            }
            if let Some(record) = &mut self.record {
                record.extend_from_slice(rest);
            }
            let mut done = false;
            loop {
                match self.parser.parse(&mut rest, false) {
                    Ok(Some(event)) => {
                        match &event {
                            Event::StartElement(..) => self.depth += 1,
                            Event::EndElement(_) => self.depth -= 1,
                            _ => {}
                        }
                        done |= enough(self.depth, &event);
                    }
                    Ok(None) | Err(EndOrError::NeedMoreData) => break,
                    Err(EndOrError::Error(error)) => return Err(error.into()),
                }
            }
            if done {
                return Ok(());
            }
        }
    }
}
