//! What our own server says of itself, and of who has access to the account.
//!
//! Whom to write to where something is wrong (XEP-0157), and where it is told that the service is out (XEP-0455), are of use when
//! the server cannot be asked: so the last answer is kept, and asked for again when it is a week old. An outage's file is not
//! fetched here: whoever fetches one tells a third party that it is affected, and that is for the app to decide, which has a
//! client for HTTP besides. Its addresses are given, those by https only.
//!
//! Who has access is asked each time (XEP-0494). Nothing here is believed of anybody but our own server.

use minidom::Element;
use rusqlite::Connection;
use whimbrel_proto::{ns, stamp, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{ClientAccess, ContactAddress, Error, Permission, Reply, RequestId, ServerInfo},
    error::Result,
    iq::{Pending, refused},
};

/// Forms of service discovery (XEP-0128).
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
const OUTAGES: &str = "urn:xmpp:sos:0";
/// Addresses, and clients, that are kept.
const MANY: usize = 64;
/// Of a short text, in bytes.
const LONG: usize = 1_024;
/// What was said of the server is asked for again after so many ms.
const STALE: i64 = 7 * 86_400_000;

impl Account {
    /// The app asks. Without a connection it is told what was said last.
    pub(crate) fn server_info(&mut self, cx: &mut Cx<'_>, request: RequestId) -> Result<()> {
        if self.online().is_none() {
            let kept = kept(cx.tx)?.map(|info| Reply::Server(Box::new(info)));
            cx.reply(request, kept.ok_or(Error::Offline));
            return Ok(());
        }
        let id = self.ask_server_info(cx)?;
        self.waiting.asked.insert(id, request);
        Ok(())
    }

    /// A session has begun, or has gone on for a day: for the day on which nobody can be asked.
    pub(crate) fn follow_server_info(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let at = kept(cx.tx)?.map(|info| info.at);
        let is_old = at.is_none_or(|at| at.abs_diff(cx.now.wall) >= STALE as u64);
        if is_old && !self.is_asked(cx, &Pending::ServerInfo { info: None })? {
            self.ask_server_info(cx)?;
        }
        Ok(())
    }

    fn ask_server_info(&mut self, cx: &mut Cx<'_>) -> Result<String> {
        let server = self.jid.domain().to_string();
        let payload = Tag::with_ns("query", ns::DISCO_INFO);
        self.ask(cx, &Pending::ServerInfo { info: None }, "get", Some(&server), payload)
    }

    /// What it is (XEP-0030), and then by which software (XEP-0092).
    pub(crate) fn server_told(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        info: Option<ServerInfo>,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let request = self.waiting.asked.remove(id);
        let Some(mut info) = info else {
            match answer {
                Ok(iq) => {
                    let info = Some(Box::new(read_info(iq, cx.now.wall)));
                    let server = self.jid.domain().to_string();
                    let payload = Tag::with_ns("query", ns::VERSION);
                    let id = self.ask(cx, &Pending::ServerInfo { info }, "get", Some(&server), payload)?;
                    request.map(|request| self.waiting.asked.insert(id, request));
                }
                Err(condition) => {
                    let error = refused(cx, condition);
                    request.into_iter().for_each(|request| cx.reply(request, Err(error.clone())));
                }
            }
            return Ok(());
        };
        if let Some(query) = answer.ok().and_then(|iq| iq.get_child("query", ns::VERSION)) {
            let said = |name| query.get_child(name, ns::VERSION).map(|child| cut(child.text().trim()));
            (info.software, info.version) = (said("name"), said("version"));
        }
        cx.tx.execute("UPDATE login SET server = ?1", [serde_json::to_string(&info)?])?;
        if let Some(request) = request {
            cx.reply(request, Ok(Reply::Server(Box::new(info))));
        }
        Ok(())
    }

    /// Who has access to the account.
    pub(crate) fn clients(&mut self, cx: &mut Cx<'_>, request: RequestId) -> Result<()> {
        let payload = Tag::with_ns("list", ns::CLIENT_ACCESS);
        self.ask_about_access(cx, request, Pending::Clients, "get", payload)
    }

    pub(crate) fn revoke(&mut self, cx: &mut Cx<'_>, request: RequestId, client: &str) -> Result<()> {
        let payload = Tag::with_ns("revoke", ns::CLIENT_ACCESS).attr("id", client);
        self.ask_about_access(cx, request, Pending::Revoke, "set", payload)
    }

    fn ask_about_access(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        pending: Pending,
        kind: &str,
        payload: Tag,
    ) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(Error::Offline));
            return Ok(());
        }
        let id = self.ask(cx, &pending, kind, None, payload)?;
        self.waiting.asked.insert(id, request);
        Ok(())
    }

    pub(crate) fn access_told(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let Some(request) = self.waiting.asked.remove(id) else { return Ok(()) };
        let reply = match answer {
            Ok(iq) => match iq.get_child("clients", ns::CLIENT_ACCESS) {
                Some(clients) => Ok(Reply::Clients(read_clients(clients))),
                None => Ok(Reply::Done),
            },
            Err(condition) => {
                // XEP-0494 §4.2: whoever knows the password comes back; that is more than the condition says.
                let is_reset = cx.refusal.as_ref().is_some_and(|error| {
                    error.children().any(|child| child.is("password-reset-required", ns::CLIENT_ACCESS))
                });
                Err(refused(cx, if is_reset { "password-reset-required" } else { condition }))
            }
        };
        cx.reply(request, reply);
        Ok(())
    }
}

fn kept(connection: &Connection) -> Result<Option<ServerInfo>> {
    let kept: Option<String> = connection.query_row("SELECT server FROM login", [], |row| row.get(0))?;
    Ok(kept.as_deref().map(serde_json::from_str).transpose()?)
}

fn read_info(iq: &Element, at: i64) -> ServerInfo {
    let mut info = ServerInfo { at, ..ServerInfo::default() };
    let Some(query) = iq.get_child("query", ns::DISCO_INFO) else { return info };
    let server =
        query.children().find(|child| child.name() == "identity" && child.attr("category") == Some("server"));
    info.name = server.and_then(|identity| identity.attr("name")).map(cut);
    for form in query.children().filter(|child| child.is("x", ns::DATA_FORMS)) {
        let mut fields = form.children().filter(|child| child.is("field", ns::DATA_FORMS));
        let values = |field: &Element| -> Vec<String> {
            let values = field.children().filter(|child| child.is("value", ns::DATA_FORMS));
            values
                .map(|value| value.text().trim().to_owned())
                .filter(|text| (1..=LONG).contains(&text.len()))
                .collect()
        };
        let is = |field: &Element, kind: &str| {
            field.attr("var") == Some("FORM_TYPE") && values(field).iter().any(|value| value == kind)
        };
        let all: Vec<&Element> = fields.by_ref().take(MANY).collect();
        if all.iter().any(|field| is(field, SERVER_INFO)) {
            for field in &all {
                let Some(kind) = field.attr("var").and_then(|var| var.strip_suffix("-addresses")) else {
                    continue;
                };
                for uri in values(field) {
                    info.contacts.push(ContactAddress { kind: cut(kind), uri });
                }
            }
            info.contacts.truncate(MANY);
        }
        if all.iter().any(|field| is(field, OUTAGES)) {
            let named = all.iter().filter(|field| field.attr("var") == Some("external-status-addresses"));
            let urls = named.flat_map(|field| values(field)).filter(|url| url.starts_with("https://"));
            info.outages.extend(urls.take(MANY));
        }
    }
    info
}

fn read_clients(clients: &Element) -> Vec<ClientAccess> {
    let said = |parent: &Element, name: &str| {
        let child = parent.get_child(name, ns::CLIENT_ACCESS)?;
        Some(cut(child.text().trim())).filter(|text| !text.is_empty())
    };
    let time = |client: &Element, name: &str| said(client, name).as_deref().and_then(stamp::parse);
    let clients = clients.children().filter(|child| child.is("client", ns::CLIENT_ACCESS));
    let clients = clients.filter_map(|client| {
        let agent = client.get_child("user-agent", ns::CLIENT_ACCESS);
        let auth = client.get_child("auth", ns::CLIENT_ACCESS);
        let by = |name: &str| auth.is_some_and(|auth| auth.get_child(name, ns::CLIENT_ACCESS).is_some());
        let permission = client.get_child("permission", ns::CLIENT_ACCESS).and_then(|tag| tag.attr("status"));
        Some(ClientAccess {
            id: client.attr("id").filter(|id| id.len() <= LONG)?.to_owned(),
            connected: matches!(client.attr("connected"), Some("true" | "1")),
            has_session: client.attr("type") == Some("session"),
            first_seen: time(client, "first-seen"),
            last_seen: time(client, "last-seen"),
            software: agent.and_then(|agent| said(agent, "software")),
            uri: agent.and_then(|agent| said(agent, "uri")),
            device: agent.and_then(|agent| said(agent, "device")),
            by_password: by("password"),
            by_token: by("fast"),
            by_grant: by("grant"),
            permission: match permission {
                Some("unrestricted") => Permission::Unrestricted,
                Some("restricted") => Permission::Restricted,
                _ => Permission::Normal,
            },
        })
    });
    clients.take(MANY * 4).collect()
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(LONG);
    text[..end].to_owned()
}
