//! What people show of themselves: a picture and a name (XEP-0084, 0153, 0172), contacts' and our own.
//!
//! Pictures are rows of the account's file, and not files beside it: they are encrypted as everything is, copied and deleted with
//! it, and what is too much is let go in the transaction that brings something else, those first that nobody has named for the
//! longest time. A picture is fetched when its hash is named by whoever it belongs to, and kept if that is its hash.
//!
//! What we show ourselves is said until the server has answered, whatever happens to the link or the process, or until its user
//! wants to show something else: nobody else would tell that a picture which was taken back is still there.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jid::BareJid;
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use sha1::{Digest, Sha1};
use whimbrel_proto::{
    address, ns,
    pubsub::{self, Change},
    write::Tag,
};

use crate::{
    account::{Account, Cx},
    api::{Error as Refusal, NodeOptions, Picture, Reply},
    error::{Error, Result},
    iq::{self, Pending},
    mutants::{self, Mutant},
    pubsub::{Publish, Question, Reason, can_be_asked, read_page},
};

/// Longest picture, and what all of them may take, in bytes.
const MAX: usize = 1 << 20;
const MAX_ALL: i64 = 32 << 20;
/// Pictures that are fetched at a time: a contact may name as many as it likes.
const MAX_FETCHED: i64 = 20;
/// Who is not asked again in a session. Beyond that it begins anew.
const MAX_ASKED: usize = 1_000;
/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// The picture that `person AS s` has, once it is here: then there is something to be shown, and a list has changed.
pub(crate) const AVATAR: &str = "(SELECT hash FROM avatar WHERE hash = s.avatar)";

impl Account {
    /// What happened to somebody's node of pictures' names.
    pub(crate) fn told_of_avatar(
        &mut self,
        cx: &mut Cx<'_>,
        from: &BareJid,
        change: &Change<'_>,
    ) -> Result<()> {
        let (kept, by_node) = avatar_of(cx, from)?;
        let is_gone = match change {
            Change::Items { published, .. } if !published.is_empty() => {
                return self.names_avatar(cx, from, published);
            }
            // An item has its picture's hash as its id.
            Change::Items { retracted, .. } => kept.is_some() && retracted.iter().any(|id| hash(id) == kept),
            Change::Emptied => true,
            Change::Subscription(_) => false,
        };
        // What their presence says counts from now on.
        if is_gone && by_node { self.has_avatar(cx, from, None, false) } else { Ok(()) }
    }

    /// Somebody's node says which picture is theirs (XEP-0084 §3.2).
    fn names_avatar(&mut self, cx: &mut Cx<'_>, from: &BareJid, items: &[pubsub::Item<'_>]) -> Result<()> {
        let metadata = items.last().and_then(|item| item.payload);
        let Some(metadata) = metadata.filter(|payload| payload.is("metadata", ns::AVATAR_METADATA)) else {
            return Ok(());
        };
        // What lies on somebody's web server would tell them where we are.
        let infos = || metadata.children().filter(|info| info.name() == "info" && info.attr("url").is_none());
        let info = infos().find(|info| info.attr("type") == Some("image/png")).or_else(|| infos().next());
        let is_too_large = |info: &Element| {
            info.attr("bytes").and_then(|bytes| bytes.parse().ok()).is_some_and(|bytes: usize| bytes > MAX)
        };
        match info {
            None if metadata.children().next().is_none() => self.has_avatar(cx, from, None, true),
            Some(info) if !is_too_large(info) => match info.attr("id").and_then(hash) {
                Some(hash) => {
                    let kind = info.attr("type").filter(|kind| kind.len() < MAX_NAME).unwrap_or_default();
                    self.has_avatar(cx, from, Some(&hash), true)?;
                    self.fetch(cx, from.as_str(), hash, Some(kind.to_owned())).map(drop)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A contact's presence says it (XEP-0153 §3.1): of software that knows no nodes. Where it says otherwise than their node did, that
    /// is asked, once in a session: ejabberd tells nobody of a node that was deleted, and no server whoever was away.
    pub(crate) fn shows_avatar(&mut self, cx: &mut Cx<'_>, from: &BareJid, presence: &Element) -> Result<()> {
        let photo = presence
            .get_child("x", ns::VCARD_UPDATE)
            .and_then(|update| update.get_child("photo", ns::VCARD_UPDATE));
        let Some(photo) = photo.map(Element::text) else { return Ok(()) };
        let shown = hash(&photo);
        if shown.is_none() && !photo.is_empty() {
            return Ok(());
        }
        let (kept, by_node) = avatar_of(cx, from)?;
        if !by_node {
            return self.has_photo(cx, from, shown);
        }
        if kept == shown
            || self.was_asked_for_picture(from, None)
            || !can_be_asked(cx, "Named", from, MAX_FETCHED)?
        {
            return Ok(());
        }
        let pending = Pending::Node(Question::Named { of: from.to_string(), photo: shown });
        self.ask(cx, &pending, "get", Some(from.as_str()), pubsub::newest(ns::AVATAR_METADATA, 1)).map(drop)
    }

    /// What their node names, or that there is none: then their presence is right.
    pub(crate) fn avatar_was_named(
        &mut self,
        cx: &mut Cx<'_>,
        of: &str,
        photo: Option<String>,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let of = BareJid::new(of).map_err(|_| Error::bug("a contact's address"))?;
        if says_what_is_there(answer) {
            self.asked_for_picture(of.to_string(), None);
        }
        let items = match answer {
            Ok(element) => read_page(element).0,
            Err("item-not-found") => Vec::new(),
            Err(_) => return Ok(()),
        };
        if items.is_empty() { self.has_photo(cx, &of, photo) } else { self.names_avatar(cx, &of, &items) }
    }

    fn has_photo(&mut self, cx: &mut Cx<'_>, from: &BareJid, photo: Option<String>) -> Result<()> {
        self.has_avatar(cx, from, photo.as_deref(), false)?;
        if self.was_asked_for_picture(from, photo.clone()) {
            return Ok(());
        }
        photo.map_or(Ok(()), |hash| self.fetch(cx, from.as_str(), hash, None).map(drop))
    }

    fn was_asked_for_picture(&self, jid: &BareJid, hash: Option<String>) -> bool {
        self.asked_avatars.contains(&(jid.to_string(), hash))
    }

    /// What their node names, or a picture that they do not have: their presence may say so often, and in a session it is asked once.
    pub(crate) fn asked_for_picture(&mut self, jid: String, hash: Option<String>) {
        if self.asked_avatars.len() >= MAX_ASKED {
            self.asked_avatars.clear();
        }
        self.asked_avatars.insert((jid, hash));
    }

    fn has_avatar(&self, cx: &mut Cx<'_>, jid: &BareJid, hash: Option<&str>, by_node: bool) -> Result<()> {
        let changed = cx
            .tx
            .prepare_cached(
                "INSERT INTO person (jid, avatar, by_node) VALUES (?1, ?2, ?3) ON CONFLICT (jid) DO UPDATE
                 SET avatar = ?2, by_node = ?3, waiting = NULL WHERE avatar IS NOT ?2 OR by_node <> ?3",
            )?
            .execute(params![jid.as_str(), hash, by_node])?;
        if changed > 0 {
            (cx.touched.contacts, cx.touched.conversations) = (true, true);
        }
        Ok(())
    }

    /// Whether it has to be waited for.
    fn fetch(&mut self, cx: &mut Cx<'_>, from: &str, hash: String, kind: Option<String>) -> Result<bool> {
        let here = cx
            .tx
            .prepare_cached("UPDATE avatar SET used_at = ?2 WHERE hash = ?1")?
            .execute(params![hash, cx.now.wall])?;
        let on_their_way =
            "coalesce(json_extract(what, '$.Node.Avatar.hash'), json_extract(what, '$.Portrait.hash'))";
        let sql = format!(
            "SELECT count(*), coalesce(sum({on_their_way} = ?1), 0) FROM pending WHERE {on_their_way} IS NOT NULL"
        );
        let (all, this): (i64, i64) =
            cx.tx.prepare_cached(&sql)?.query_row(params![hash], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if here > 0 || this > 0 {
            return Ok(false);
        }
        if all >= MAX_FETCHED {
            cx.tx
                .prepare_cached("UPDATE person SET waiting = ?3 WHERE jid = ?1 AND avatar = ?2")?
                .execute(params![from, hash, kind.unwrap_or_default()])?;
            return Ok(true);
        }
        let (pending, payload) = match kind {
            Some(kind) => {
                let payload = pubsub::item(ns::AVATAR_DATA, &hash);
                (Pending::Node(Question::Avatar { hash, kind }), payload)
            }
            None => (Pending::Portrait { of: from.to_owned(), hash }, Tag::with_ns("vCard", ns::VCARD)),
        };
        self.ask(cx, &pending, "get", Some(from), payload)?;
        Ok(true)
    }

    /// One was answered, or not: there is room for one that was named meanwhile.
    pub(crate) fn fetch_next(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        loop {
            let next: Option<(String, String, String, bool)> = cx
                .tx
                .prepare_cached(
                    "SELECT jid, avatar, waiting, by_node FROM person WHERE waiting IS NOT NULL LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            let Some((jid, hash, kind, by_node)) = next else { return Ok(()) };
            cx.tx.prepare_cached("UPDATE person SET waiting = NULL WHERE jid = ?1")?.execute(params![jid])?;
            if self.fetch(cx, &jid, hash, by_node.then_some(kind))? {
                return Ok(());
            }
        }
    }

    /// An item of somebody's node of pictures.
    pub(crate) fn avatar_came(
        &mut self,
        cx: &mut Cx<'_>,
        hash: &str,
        kind: &str,
        answer: &Element,
    ) -> Result<()> {
        let (items, _) = read_page(answer);
        let data = items.first().and_then(|item| item.payload);
        match data.filter(|data| data.is("data", ns::AVATAR_DATA)) {
            Some(data) => keep(cx, hash, kind, &data.text()).map(drop),
            None => Ok(()),
        }
    }

    /// Somebody's vCard (XEP-0054), or none.
    pub(crate) fn portrait_came(
        &mut self,
        cx: &mut Cx<'_>,
        of: String,
        hash: String,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let vcard = answer.ok().and_then(|answer| answer.get_child("vCard", ns::VCARD));
        let photo = vcard.and_then(|vcard| vcard.get_child("PHOTO", ns::VCARD));
        let part = |name| photo.and_then(|photo| photo.get_child(name, ns::VCARD)).map(Element::text);
        let is_it = match part("BINVAL") {
            Some(data) => keep(cx, &hash, &part("TYPE").unwrap_or_default(), &data)?,
            None => false,
        };
        if !is_it && says_what_is_there(answer) {
            self.asked_for_picture(of, Some(hash));
        }
        Ok(())
    }

    /// Somebody says what they are called (XEP-0172), or no longer.
    pub(crate) fn told_of_name(
        &mut self,
        cx: &mut Cx<'_>,
        from: &BareJid,
        change: &Change<'_>,
    ) -> Result<()> {
        let nick = match change {
            Change::Items { published, .. } => {
                let payload = published.last().and_then(|item| item.payload);
                let Some(nick) = payload.filter(|payload| payload.is("nick", ns::NICK)) else {
                    return Ok(());
                };
                presentable(&nick.text())
            }
            Change::Emptied => None,
            Change::Subscription(_) => return Ok(()),
        };
        let changed = cx
            .tx
            .prepare_cached(&mutants::sql(
                Mutant::FirstNameStays,
                "INSERT INTO person (jid, nick) VALUES (?1, ?2)
                 ON CONFLICT (jid) DO UPDATE SET nick = ?2 WHERE nick IS NOT ?2",
                "WHERE nick IS NOT ?2",
                "WHERE 0",
            ))?
            .execute(params![from.as_str(), nick])?;
        if changed > 0 {
            (cx.touched.contacts, cx.touched.conversations) = (true, true);
        }
        Ok(())
    }

    /// Our own picture. Both items go out in this order, so that nobody is told of one that is not there.
    pub(crate) fn set_avatar(
        &mut self,
        cx: &mut Cx<'_>,
        picture: Option<&Picture>,
    ) -> Result<std::result::Result<Reply, Refusal>> {
        let before = said(cx, &[ns::AVATAR_DATA, ns::AVATAR_METADATA])?;
        let mut id = None;
        let metadata = match picture {
            None => Tag::with_ns("metadata", ns::AVATAR_METADATA),
            Some(Picture { bytes, kind }) => {
                if bytes.is_empty() || bytes.len() > MAX || !kind.starts_with("image/") {
                    let what = "a picture of at most 1 MiB and its type are needed".into();
                    return Ok(Err(Refusal::InvalidInput { what }));
                }
                let hash = sha1(bytes);
                let data = Tag::with_ns("data", ns::AVATAR_DATA).text(BASE64.encode(bytes));
                let metadata = named(&hash, kind, bytes.len());
                if mutants::on(Mutant::NamedBeforeData) {
                    let _ = self.show(cx, ns::AVATAR_METADATA, Some(hash.clone()), metadata.clone())?;
                }
                if let Err(error) = self.show(cx, ns::AVATAR_DATA, Some(hash.clone()), data)? {
                    return Ok(Err(error));
                }
                keep_bytes(cx, &hash, kind, bytes)?;
                id = Some(hash);
                metadata
            }
        };
        let own = self.jid.clone();
        self.has_avatar(cx, &own, id.as_deref(), true)?;
        before.iter().try_for_each(|iq| iq::withdraw(cx, iq))?;
        Ok(self.show(cx, ns::AVATAR_METADATA, id, metadata)?.map(|_| Reply::Done))
    }

    /// What we are called.
    pub(crate) fn set_nickname(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
    ) -> Result<std::result::Result<Reply, Refusal>> {
        let nick = Tag::with_ns("nick", ns::NICK).text(name);
        let before = said(cx, &[ns::NICK])?;
        let said = self.show(cx, ns::NICK, None, nick)?;
        if said.is_ok() {
            before.iter().try_for_each(|iq| iq::withdraw(cx, iq))?;
        }
        Ok(said.map(|_| Reply::Done))
    }

    /// Of this nobody has answered what we show of ourselves: it is said again, since nobody knows whether it arrived. A picture
    /// is named again behind its data: whoever has heard its name meanwhile could not have it.
    pub(crate) fn show_again(&mut self, cx: &mut Cx<'_>, unanswered: &[Pending]) -> Result<()> {
        if mutants::on(Mutant::ShownNotSaidAgain) {
            return Ok(());
        }
        let shown = || unanswered.iter().filter_map(Pending::shown);
        let is_data = |publish: &&Publish| publish.node == ns::AVATAR_DATA;
        let mut said = None;
        for data in shown().filter(is_data) {
            self.publish_now(cx, data.clone(), false)?;
            let hash = data.id.clone().unwrap_or_default();
            // There is none where others have taken its room.
            if let Some(picture) = avatar(cx.tx, &hash)? {
                let metadata = named(&hash, &picture.kind, picture.bytes.len());
                let _ = self.show(cx, ns::AVATAR_METADATA, Some(hash), metadata)?;
                said.clone_from(&data.id);
            }
        }
        let is_said = |publish: &&Publish| {
            publish.node == ns::AVATAR_METADATA && publish.id.is_some() && publish.id == said
        };
        for publish in shown().filter(|publish| !is_data(publish) && !is_said(publish)) {
            self.publish_now(cx, publish.clone(), false)?;
        }
        Ok(())
    }

    fn show(
        &mut self,
        cx: &mut Cx<'_>,
        node: &str,
        id: Option<String>,
        payload: Tag,
    ) -> Result<std::result::Result<String, Refusal>> {
        let (node, payload) = (node.to_owned(), payload.finish());
        let options = NodeOptions::default();
        self.publish(cx, Publish { owner: None, node, id, payload, options, reason: Reason::Shown })
    }
}

/// Which picture somebody has, and whether their node says so.
fn avatar_of(cx: &Cx<'_>, jid: &BareJid) -> Result<(Option<String>, bool)> {
    let sql = "SELECT avatar, by_node FROM person WHERE jid = ?1";
    let known = cx
        .tx
        .prepare_cached(sql)?
        .query_row(params![jid.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(known.unwrap_or_default())
}

/// What says which picture is ours (XEP-0084 §3.2).
fn named(hash: &str, kind: &str, size: usize) -> Tag {
    let info = Tag::new("info").attr("id", hash).attr("bytes", size.to_string()).attr("type", kind);
    Tag::with_ns("metadata", ns::AVATAR_METADATA).child(info)
}

/// The questions by which what we show in these nodes is on its way. When something else is to be shown there, nothing follows from them.
fn said(cx: &Cx<'_>, nodes: &[&str]) -> Result<Vec<String>> {
    let mut statement = cx.tx.prepare_cached("SELECT iq, what FROM pending")?;
    let mut rows = statement.query([])?;
    let mut said = Vec::new();
    while let Some(row) = rows.next()? {
        let pending: Pending = serde_json::from_str(&row.get::<_, String>(1)?)?;
        if pending.shown().is_some_and(|publish| nodes.contains(&publish.node.as_str())) {
            said.push(row.get(0)?);
        }
    }
    Ok(said)
}

/// Whether it is the one that was promised: another is none.
fn keep(cx: &mut Cx<'_>, hash: &str, kind: &str, data: &str) -> Result<bool> {
    let data: String = data.split_ascii_whitespace().collect();
    match BASE64.decode(data) {
        Ok(bytes) if !bytes.is_empty() && bytes.len() <= MAX && sha1(&bytes) == hash => {
            keep_bytes(cx, hash, kind, &bytes).map(|()| true)
        }
        _ => Ok(false),
    }
}

fn keep_bytes(cx: &mut Cx<'_>, hash: &str, kind: &str, bytes: &[u8]) -> Result<()> {
    let kind = if kind.starts_with("image/") && kind.len() < MAX_NAME { kind } else { "image/png" };
    cx.tx.execute(
        "INSERT OR REPLACE INTO avatar (hash, kind, bytes, used_at) VALUES (?1, ?2, ?3, ?4)",
        params![hash, kind, bytes, cx.now.wall],
    )?;
    cx.tx.execute(
        "DELETE FROM avatar WHERE hash IN (SELECT hash FROM
           (SELECT hash, sum(length(bytes)) OVER (ORDER BY used_at DESC, hash = ?1 DESC, hash) AS size FROM avatar) WHERE size > ?2)",
        params![hash, MAX_ALL],
    )?;
    (cx.touched.contacts, cx.touched.conversations) = (true, true);
    Ok(())
}

/// A picture by its hash, if it is here.
///
/// # Errors
/// Where the world failed.
pub fn avatar(connection: &Connection, hash: &str) -> Result<Option<Picture>> {
    Ok(connection
        .prepare_cached("SELECT kind, bytes FROM avatar WHERE hash = ?1")?
        .query_row(params![hash], |row| Ok(Picture { kind: row.get(0)?, bytes: row.get(1)? }))
        .optional()?)
}

/// SHA-1 as it is written, of whatever claims to be one.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name that stays on its line and hides nothing, if something is left of it.
fn presentable(name: &str) -> Option<String> {
    let name: String =
        name.chars().filter(|c| !c.is_control() && !address::is_invisible(*c)).take(MAX_NAME).collect();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Whether this tells what somebody has, and not only that they, or their server, cannot be reached.
fn says_what_is_there(answer: std::result::Result<&Element, &str>) -> bool {
    !matches!(
        answer,
        Err(iq::NO_ANSWER
            | "remote-server-timeout"
            | "remote-server-not-found"
            | "recipient-unavailable"
            | "internal-server-error")
    )
}
