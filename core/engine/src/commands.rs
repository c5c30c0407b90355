//! What the app wants.

use jid::BareJid;
use minidom::Element;
use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{ns, write::Tag};

use crate::{
    account::{Account, Archive, Cx, Link},
    api::{ChatState, Command, Error, Reply, RequestId},
    effect::Effect,
    error::Result,
    messages,
    outbox::Kind,
    read_position,
    session::Again,
    signals,
};

impl Account {
    pub(crate) fn command(&mut self, cx: &mut Cx<'_>, request: RequestId, command: &Command) -> Result<()> {
        let done = match command {
            Command::SignIn { password } => {
                if let Some(password) = password {
                    self.gives_up_another_password(cx, password);
                    self.password_was_given(cx, password)?;
                }
                self.try_now(cx);
                if self.online().is_none() {
                    self.waiting.sign_in.push(request);
                    return Ok(());
                }
                Ok(Reply::Done)
            }
            Command::Connect => {
                self.try_now(cx);
                Ok(Reply::Done)
            }
            Command::Disconnect => {
                self.disconnect(cx)?;
                Ok(Reply::Done)
            }
            Command::Leave => return self.leave(cx, request),
            Command::Suspend { seen } => {
                if *seen {
                    self.told(cx)?;
                }
                // Who knows when there is another time.
                if self.online().is_some() && self.telling.due.is_some() {
                    self.tell_devices_now(cx)?;
                }
                self.flush(cx)?;
                self.suspend(cx);
                Ok(Reply::Done)
            }
            Command::News => Ok(Reply::News(self.news(cx)?)),
            Command::ChangePassword { password } => return self.change_password(cx, request, password),
            Command::ServerInfo => return self.server_info(cx, request),
            Command::Clients => return self.clients(cx, request),
            Command::Revoke { client } => return self.revoke(cx, request, client),
            Command::Unregister => return self.unregister(cx, request),
            Command::Send { id, to, what } => self.send(cx, id, to, what)?,
            Command::Edit { id, message, text } => self.edit(cx, id, message, text)?,
            Command::Retract { id, message } => self.retract(cx, id, message)?,
            Command::React { id, message, reactions } => self.react(cx, id, message, reactions)?,
            Command::Retry { message } => self.retry(cx, message)?,
            Command::Cancel { message } => self.cancel(cx, message)?,
            Command::Delete(what) => self.delete(cx, what)?,
            Command::MarkRead { with } => self.mark_read(cx, with)?,
            Command::Set { with, setting } => self.set(cx, with, setting)?,
            Command::SetChatState { with, state } => self.send_chat_state(cx, with, *state)?,
            Command::Older => return self.older(cx, request),
            Command::AddContact { jid, name } => {
                self.add_contact(cx, jid, name.as_deref()).map(|()| Ok(Reply::Done))?
            }
            Command::AddInviter { jid, name, token } => self.add_inviter(cx, jid, name.as_deref(), token)?,
            Command::Invite { name, valid_for } => {
                return self.invite(cx, request, name.as_deref(), *valid_for);
            }
            Command::InviteToServer { username } => {
                return self.invite_to_server(cx, request, username.as_deref());
            }
            Command::EditContact { jid, name, groups } => {
                self.edit_contact(cx, jid, name.as_deref(), groups).map(|()| Ok(Reply::Done))?
            }
            Command::SetAvatar { picture } => self.set_avatar(cx, picture.as_ref())?,
            Command::Card { of } => return self.card(cx, request, of),
            Command::SetCard { card, audience } => self.set_card(cx, card, *audience)?,
            Command::SetPresence { show, text } => self.set_presence(cx, *show, text.as_deref())?,
            Command::SetNickname { name } => self.set_nickname(cx, name)?,
            Command::Block { jid, report } => {
                self.block(cx, jid, report.as_ref()).map(|()| Ok(Reply::Done))?
            }
            Command::Unblock { jid } => self.unblock(cx, jid).map(|()| Ok(Reply::Done))?,
            Command::RemoveContact { jid } => self.remove_contact(cx, jid).map(|()| Ok(Reply::Done))?,
            Command::Accept { jid } => self.accept(cx, jid).map(|()| Ok(Reply::Done))?,
            Command::Decline { jid } => self.decline(cx, jid).map(|()| Ok(Reply::Done))?,
            Command::SetSignals { with, signals } => Ok(self.set_signals(cx, with.as_ref(), *signals)?),
            Command::NotifyOfStrangers { on } => Ok(self.set_notify_of_strangers(cx, *on)?),
            Command::SetPush { push } => {
                if push.as_ref().is_some_and(|push| push.node.is_empty()) {
                    Err(Error::InvalidInput { what: "the node is empty".into() })
                } else {
                    self.set_push(cx, push.as_ref()).map(|()| Ok(Reply::Done))?
                }
            }
            Command::Node { .. } | Command::Feed { .. } => return self.of_node(cx, request, command),
            Command::Claim { namespace, what, on } => self.claim(cx, namespace, *what, *on)?,
            Command::Answer { id, answer } => self.answer_of_app(cx, *id, answer)?,
            Command::SendPayload { id, to, xml } => self.send_payload(cx, id, to, xml)?,
            Command::Ask { of, what } => return self.ask_service(cx, request, of, what),
            Command::Follow { node, on } => self.follow(cx, node, *on)?,
            Command::Import { file, elements } => self.import(cx, file, elements)?,
            Command::Raw { xml } => self.raw(cx, xml)?,
            Command::Sync { timeout } => {
                self.waiting.sync.push((request, cx.now.mono.saturating_add(*timeout)));
                return Ok(());
            }
        };
        cx.reply(request, done);
        Ok(())
    }

    /// Somebody wants it: it is tried at once. Where it was being tried anyway the attempts behind that do not begin anew, or an app that
    /// says so again and again would have a server tried ever so often.
    fn try_now(&mut self, cx: &Cx<'_>) {
        if !self.wanted {
            self.go_online(cx);
        } else if matches!(self.link, Link::Down) {
            self.retry = Some(cx.now.mono);
        }
    }

    pub(crate) fn go_online(&mut self, cx: &Cx<'_>) {
        (self.wanted, self.barred) = (true, false);
        if matches!(self.link, Link::Down) {
            self.back_off.reset();
            self.retry = Some(cx.now.mono);
        }
    }

    /// What the server says of the one that is being tried would be taken for its answer to this one.
    fn gives_up_another_password(&mut self, cx: &mut Cx<'_>, password: &str) {
        if let Link::Negotiating { link, .. } = self.link
            && self.password_to_try().as_deref() != Some(password)
        {
            cx.out.push(Effect::Hangup { link });
            self.went_offline(cx, None, "another password".into(), Again::AtOnce);
        }
    }

    fn disconnect(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        (self.wanted, self.barred) = (false, false);
        self.withdraw_push(cx)?;
        if let Some(link) = self.current_link() {
            cx.out.push(Effect::Close { link });
            self.session.sm = None;
            self.session.dirty = true;
            self.went_offline(cx, None, "signed out".into(), Again::Never);
        }
        Ok(())
    }

    /// A token is invalidated by a login with it (XEP-0484 §3.5), so there is one more, which goes no further.
    fn leave(&mut self, cx: &mut Cx<'_>, request: RequestId) -> Result<()> {
        let can = self.online().is_some() && self.login.token.is_some();
        self.disconnect(cx)?;
        if can {
            self.waiting.leaving = Some(request);
            self.connect(cx);
        } else {
            cx.reply(request, Ok(Reply::Done));
        }
        Ok(())
    }

    fn mark_read(&mut self, cx: &mut Cx<'_>, with: &BareJid) -> Result<std::result::Result<Reply, Error>> {
        let newest: Option<(i64, i64)> = cx
            .tx
            .query_row(
                "SELECT m.position, c.read_position FROM message AS m JOIN conversation AS c ON c.id = m.conversation
                 WHERE c.jid = ?1 AND m.mine = 0 AND m.hidden = 0 ORDER BY m.position DESC LIMIT 1",
                params![with.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((position, read)) = newest else { return Ok(Ok(Reply::Done)) };
        // All that is here by now, wherever it stands or moves to.
        cx.tx.execute(
            "UPDATE conversation SET read_here = (SELECT max(id) FROM message)
             WHERE jid = ?1 AND read_here < (SELECT max(id) FROM message)",
            params![with.as_str()],
        )?;
        let none = cx.tx.execute(
            "UPDATE conversation SET unread = 0 WHERE jid = ?1 AND unread > 0",
            params![with.as_str()],
        )?;
        if none > 0 {
            messages::touch_line(cx, with);
        }
        if position > read {
            read_position::read_up_to(cx, with, position)?;
            self.read_on(cx, with.as_str())?;
            if self.sees_our_presence(cx, with)?
                && signals::with(cx, with)?.displayed
                && let Some(id) = newest_markable(cx, with, read)?
            {
                let marker = Tag::new("message")
                    .attr("type", "chat")
                    .attr("to", with.as_str())
                    .attr("id", cx.id())
                    .child(Tag::with_ns("displayed", ns::CHAT_MARKERS).attr("id", id))
                    .child(Tag::with_ns("store", ns::HINTS));
                self.enqueue(cx, Kind::Note, with.as_str(), None, &marker.into_bytes())?;
            }
        }
        Ok(Ok(Reply::Done))
    }

    fn send_chat_state(
        &mut self,
        cx: &mut Cx<'_>,
        with: &BareJid,
        state: ChatState,
    ) -> Result<std::result::Result<Reply, Error>> {
        if self.online().is_none() {
            return Ok(Err(Error::Offline));
        }
        if !messages::takes_states(cx, with)? || signals::is_stranger(cx, with)? {
            // XEP-0085 §5.1: whoever answered without chat states is not sent any.
            return Ok(Ok(Reply::Done));
        }
        let name = match state {
            ChatState::Active => "active",
            ChatState::Composing => "composing",
            ChatState::Paused => "paused",
            ChatState::Inactive => "inactive",
            ChatState::Gone => "gone",
        };
        let message = Tag::new("message")
            .attr("type", "chat")
            .attr("to", with.as_str())
            .attr("id", cx.id())
            .child(Tag::with_ns(name, ns::CHAT_STATES))
            .child(Tag::with_ns("no-store", ns::HINTS));
        self.enqueue(cx, Kind::Fleeting, with.as_str(), None, &message.into_bytes())?;
        Ok(Ok(Reply::Done))
    }

    fn raw(&mut self, cx: &mut Cx<'_>, xml: &str) -> Result<std::result::Result<Reply, Error>> {
        let invalid = |what: String| Ok(Err(Error::InvalidInput { what }));
        let stanza = match one_element(xml) {
            Ok(element) if whimbrel_proto::sm::is_counted(&element) => element,
            Ok(_) => return invalid("one message, presence or iq is needed".to_owned()),
            Err(what) => return invalid(what),
        };
        if xml.len() as u64 > self.max_stanza() {
            return invalid("it is larger than the server takes".to_owned());
        }
        let to = stanza.attr("to").unwrap_or_default();
        self.enqueue(cx, Kind::Note, to, stanza.attr("id"), String::from(&stanza).as_bytes())?;
        Ok(Ok(Reply::Done))
    }

    pub(crate) fn check_sync(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.waiting.sync.is_empty() {
            return Ok(());
        }
        // What a resumption replays is still missing, and so is a page that was refused, be it the first of all. A gap stays for an
        // archive that is no longer there, but nobody waits for it.
        let replayed = self.online().is_some_and(|online| online.replayed.is_none());
        let is_there = self.login.archive != Archive::Unknown;
        let complete = replayed && !(is_there && self.catching_up.again.is_some()) && {
            // A ping that asks whether the link lives is nobody's question; what it would show as sent is in the outbox. Nor does
            // anybody miss what becomes of a contact: that is pushed; or wait for what is asked again in ten minutes.
            let open: bool = cx.tx.query_row(
                "SELECT (?2 AND EXISTS (SELECT 1 FROM gap WHERE kind = 0)) OR EXISTS (SELECT 1 FROM outbox)
                 OR EXISTS (SELECT 1 FROM pending WHERE what <> ?1
                   AND coalesce(json_type(what, '$.Probe'), json_type(what, '$.Contact'),
                     json_type(what, '$.Later')) IS NULL)",
                params![serde_json::to_string(&crate::iq::Pending::Nothing)?, is_there],
                |row| row.get(0),
            )?;
            !open
        };
        for (request, deadline) in std::mem::take(&mut self.waiting.sync) {
            if complete {
                cx.reply(request, Ok(Reply::Done));
            } else if cx.now.mono >= deadline {
                let error = if self.online().is_some() { Error::TimedOut } else { Error::Offline };
                cx.reply(request, Err(error));
            } else {
                self.waiting.sync.push((request, deadline));
            }
        }
        Ok(())
    }
}

/// What a marker is to name (XEP-0333): the newest message above what was read before that may be marked. The last one may not.
fn newest_markable(cx: &Cx<'_>, with: &BareJid, read: i64) -> Result<Option<String>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT coalesce(stanza_id, name) FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND position > ?2
             AND mine = 0 AND hidden = 0 AND asks & 2 AND coalesce(stanza_id, name) IS NOT NULL ORDER BY position DESC LIMIT 1",
        )?
        .query_row(params![with.as_str(), read], |row| row.get(0))
        .optional()?)
}

/// Reads what an app has written. It may not end where it stands, or begin something beside it.
pub(crate) fn one_element(xml: &str) -> std::result::Result<Element, String> {
    // By a name that it does not know it cannot be closed.
    let mut name = "stream".to_owned();
    while xml.contains(&name) {
        name.push('-');
    }
    let wrapped = format!("<{name} xmlns='{}'>{xml}</{name}>", ns::JABBER_CLIENT);
    let stream: Element = wrapped.parse().map_err(|error| format!("not well-formed: {error}"))?;
    let mut children = stream.children();
    match (children.next(), children.next()) {
        (Some(element), None) if stream.texts().all(|text| text.trim().is_empty()) => Ok(element.clone()),
        _ => Err("one element is needed".to_owned()),
    }
}
