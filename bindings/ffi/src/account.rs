//! One account.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    Audience, Card, ChatState, ClientAccess, ContactList, ConversationList, Cursor, Delete, DiskUse, Draft,
    Events, Found, Imported, Invitation, KnownCard, Mute, Notify, Outgoing, Picture, Presence, Push,
    PushState, Report, Search, ServerInfo, Show, Signals, Status, Timeline, WhimbrelError,
    counted::Counted,
    error::{address, full_address},
    guard,
};

/// One account. Every object of the same address is the same account.
#[derive(Debug, uniffi::Object)]
pub struct Account {
    pub(crate) account: Counted<whimbrel::Account>,
}

impl Account {
    pub(crate) fn new(account: whimbrel::Account) -> Arc<Self> {
        Arc::new(Self { account: Counted::new(account) })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Account {
    /// Whose account it is.
    pub fn address(&self) -> Result<String, WhimbrelError> {
        guard::sync(|| Ok(self.account.jid().to_string()))
    }

    /// How it is doing.
    pub fn status(&self) -> Result<Status, WhimbrelError> {
        guard::sync(|| Ok(self.account.status().into()))
    }

    /// Follows how it is doing.
    pub fn statuses(&self) -> Result<Arc<Statuses>, WhimbrelError> {
        guard::sync(|| Ok(Statuses::new(self.account.clone())))
    }

    /// Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when
    /// online.
    ///
    /// Fails with `WrongPassword`; with `Untrusted`, and then it tries once more on another network, or when it is resumed; with
    /// `NotFound`, `ServerRefused`, or `Offline` where there is no connection: in these three cases it goes on trying.
    pub async fn sign_in(&self, password: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.sign_in(&password).await?) }).await
    }

    /// Connects as signed in before and stays connected. Returns at once: the status tells how it goes.
    pub async fn connect(&self) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.connect().await?) }).await
    }

    /// Closes the session on the server and stays offline.
    pub async fn disconnect(&self) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.disconnect().await?) }).await
    }

    /// Gives the account another password on its server (XEP-0077 §3.3). Whatever happens meanwhile, the next login is by the one
    /// that counts. Fails with `Offline` where there is no connection; where it was lost meanwhile, or with `TimedOut`, nobody
    /// knows yet, and an event tells. With `ServerRefused` where the server takes no such password, and `InvalidInput` where
    /// it is empty, too long or cannot be sent, or another change is under way.
    pub async fn change_password(&self, password: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.change_password(&password).await?) }).await
    }

    /// What our server says of itself: whom to turn to (XEP-0157), where outages are told (XEP-0455), its software (XEP-0092). Without
    /// a connection what it said last. Fails with `Offline` where it never said anything, `TimedOut`, `ServerRefused`.
    pub async fn server_info(&self) -> Result<ServerInfo, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.server_info().await?.into()) }).await
    }

    /// Who has access to the account: our own sessions and others (XEP-0494). Fails with `Offline`, `TimedOut`, and
    /// `ServerRefused` where the server does not tell.
    pub async fn clients(&self) -> Result<Vec<ClientAccess>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.clients().await?.into_iter().map(Into::into).collect()) }).await
    }

    /// Takes somebody's access away, by its id. Fails as `clients`, and with `ServerRefused` (`password-reset-required`) where only
    /// another password keeps it out.
    pub async fn revoke_client(&self, id: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.revoke_client(&id).await?) }).await
    }

    /// Writes all that the account has to a file that this device, another one, or other software can take back (XEP-0227). Never
    /// passwords, tokens or keys; but it is not encrypted. Returns how many messages it holds. Fails with `StorageFull`, with
    /// `DatabaseUnusable` where it cannot be written, and with `Suspended`, also where the account is suspended meanwhile.
    /// A process that is killed meanwhile leaves its beginning, under this name with `.new` behind it.
    pub async fn export_to(&self, path: String) -> Result<u64, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.export(path.as_ref()).await?) }).await
    }

    /// Takes what `export_to` has written on this or another device, or another server or app in the form of XEP-0227. What is here
    /// already is not taken twice, so it can be repeated. Fails with `NotFound` where there is no such file, and with
    /// `InvalidInput` where it is of other accounts, or damaged: then it says where, and how much was taken before.
    pub async fn import_from(&self, path: String) -> Result<Imported, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.import(path.as_ref()).await?.into()) }).await
    }

    /// What the account takes on the disk.
    pub async fn disk_use(&self) -> Result<DiskUse, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.disk_use()?.into()) }).await
    }

    /// Adds who has invited us by a link (XEP-0379): they are asked with the link's token, so that they accept without being asked
    /// about, and are accepted when they ask in turn, within a month. Fails with `InvalidInput` where it can be no token.
    pub async fn add_inviter(
        &self,
        jid: String,
        name: Option<String>,
        token: String,
    ) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.add_inviter(&address(&jid)?, name.as_deref(), &token).await?) })
            .await
    }

    /// A link by which somebody becomes a contact without our being asked: whoever opens it first. Our server makes it where it
    /// knows how (XEP-0401); else it is our own (XEP-0379), suggests `name`, counts for `valid_for`, and is accepted by this device.
    pub async fn invite(
        &self,
        name: Option<String>,
        valid_for: Duration,
    ) -> Result<Invitation, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.invite(name.as_deref(), valid_for).await?.into()) }).await
    }

    /// A link by which somebody may register on our server, under this name or any (XEP-0401 §5.4). Fails with `Offline`, `TimedOut`,
    /// and `ServerRefused` where we may not, or the server does not know how.
    pub async fn invite_to_server(&self, username: Option<String>) -> Result<Invitation, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.invite_to_server(username.as_deref()).await?.into()) }).await
    }

    /// Sends a message and returns its id when it is durable: how far it comes is the state of its item.
    ///
    /// The id is a UUID made by the caller; the same id again is the same message, so a call that was cancelled or killed can
    /// be repeated. Fails with `InvalidInput` where the id is no UUID, the text is empty or too long, a mention is not a part of it, or what it
    /// answers cannot be answered, `NotFound` where that is not in this conversation, `StorageFull`, `DatabaseUnusable`.
    pub async fn send(&self, id: String, to: String, what: Outgoing) -> Result<String, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let what = whimbrel::Outgoing::try_from(what)?;
            Ok(account.send(whimbrel::ItemId(id), &address(&to)?, what).await?.0)
        })
        .await
    }

    /// Gives a message of ours another text (XEP-0308). What has not left yet leaves with it; else a correction follows. Returns
    /// when it is durable: until it has left, it is the `change` of the item. `id` is the change's, a UUID made by the caller.
    /// What has failed becomes another message, under this id, that `retry` sends: the first one may be known somewhere as it was.
    /// Mentions, links and previews are those of the old text, and go with it.
    ///
    /// Fails with `NotFound`; with `InvalidInput` as `send`, and where the message is not ours or was retracted; with `StorageFull`
    /// or `DatabaseUnusable`.
    pub async fn edit(&self, id: String, message: String, text: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            Ok(account.edit(whimbrel::ItemId(id), &whimbrel::ItemId(message), &text).await?)
        })
        .await
    }

    /// Takes a message of ours back (XEP-0424). What has not left yet is gone; others are asked to forget it, and need not. Fails
    /// as `edit`.
    pub async fn retract(&self, id: String, message: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(
            async move { Ok(account.retract(whimbrel::ItemId(id), &whimbrel::ItemId(message)).await?) },
        )
        .await
    }

    /// All that we feel about a message, in the place of what we said before (XEP-0444); nothing takes it all back. Fails as
    /// `edit`, but for anybody's message; with `InvalidInput` where one is empty or longer than 64 bytes, or there are more than 32.
    pub async fn react(
        &self,
        id: String,
        message: String,
        reactions: Vec<String>,
    ) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let reactions: Vec<&str> = reactions.iter().map(String::as_str).collect();
            Ok(account.react(whimbrel::ItemId(id), &whimbrel::ItemId(message), &reactions).await?)
        })
        .await
    }

    /// Sends once more what failed: a message, or the `change` of one. Fails with `NotFound`, and with `InvalidInput` where it has
    /// not failed, or is a change and another one was made since.
    pub async fn retry(&self, message: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.retry(&whimbrel::ItemId(message)).await?) }).await
    }

    /// Does not send what has not left yet, and forgets what failed: a message, or the `change` of one. Fails with `NotFound`, and
    /// with `InvalidInput` where it is under way or sent.
    pub async fn cancel(&self, message: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.cancel(&whimbrel::ItemId(message)).await?) }).await
    }

    /// A conversation's newest `limit` messages, and all that come; or as many around one of them, such as a hit of a search: half
    /// of the others are older. Fails with `NotFound` where the conversation has no such message.
    pub async fn timeline(
        &self,
        with: String,
        limit: u32,
        at: Option<String>,
    ) -> Result<Arc<Timeline>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let with = address(&with)?;
            Ok(Timeline::new(match at {
                Some(item) => account.timeline_at(&with, &whimbrel::ItemId(item), limit)?,
                None => account.timeline(&with, limit)?,
            }))
        })
        .await
    }

    /// Looks for messages, the newest first, up to `limit` of them, 1 to 500; with a cursor: behind these. What has just come is
    /// found, too.
    pub async fn search(
        &self,
        search: Search,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<Found, WhimbrelError> {
        let account = self.account.clone();
        guard::task(
            async move { Ok(account.search(&search.try_into()?, before.map(Into::into), limit)?.into()) },
        )
        .await
    }

    /// All conversations: the pinned ones first, the archived ones last, among each the newest first.
    pub fn conversations(&self) -> Result<Arc<ConversationList>, WhimbrelError> {
        guard::sync(|| Ok(ConversationList::new(self.account.conversations())))
    }

    /// The roster, and who asks to be in it.
    pub fn contacts(&self) -> Result<Arc<ContactList>, WhimbrelError> {
        guard::sync(|| Ok(ContactList::new(self.account.contacts())))
    }

    /// What happens from now on, in order.
    pub fn events(&self) -> Result<Arc<Events>, WhimbrelError> {
        guard::sync(|| Ok(Events::new(self.account.events())))
    }

    /// Everything in this conversation was seen. Tells the contact, if they asked and may know (XEP-0333).
    pub async fn mark_read(&self, with: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.mark_read(&address(&with)?).await?) }).await
    }

    /// Deletes a message, a conversation or all before some time, on this device and no other. Whatever brings it again, it does
    /// not come back. What was not sent yet is not sent. Fails with `NotFound` where there is no such message.
    pub async fn delete(&self, what: Delete) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.delete(what.try_into()?).await?) }).await
    }

    /// Keeps what was begun and not sent in a conversation, over kills, too; nothing, or an empty draft: no longer. Sending its
    /// text ends it. It stays on this device. Each call writes to the disk: not for every key.
    pub async fn set_draft(&self, with: String, draft: Option<Draft>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_draft(&address(&with)?, draft.map(Into::into)).await?) })
            .await
    }

    /// Whether a conversation stands above those that are not pinned.
    pub async fn set_pinned(&self, with: String, pinned: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_pinned(&address(&with)?, pinned).await?) }).await
    }

    /// Until when nothing in a conversation is notified of; nothing: from now on again.
    pub async fn set_muted(&self, with: String, muted: Option<Mute>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_muted(&address(&with)?, muted.map(Into::into)).await?) })
            .await
    }

    /// Whether a conversation stands apart, behind all others. A message brings it back, unless it is muted.
    pub async fn set_archived(&self, with: String, archived: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_archived(&address(&with)?, archived).await?) }).await
    }

    /// Of what in a conversation to be notified (XEP-0492), while it is not muted.
    pub async fn set_notify(&self, with: String, notify: Notify) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_notify(&address(&with)?, notify.into()).await?) }).await
    }

    /// Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated. Fails with `Offline`.
    pub async fn set_chat_state(&self, with: String, state: ChatState) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_chat_state(&address(&with)?, state.into()).await?) }).await
    }

    /// Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1). Can be done offline.
    pub async fn add_contact(&self, jid: String, name: Option<String>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.add_contact(&address(&jid)?, name.as_deref()).await?) }).await
    }

    /// Changes how a contact is called and grouped, and nothing else (RFC 6121 §2.4).
    pub async fn edit_contact(
        &self,
        jid: String,
        name: Option<String>,
        groups: Vec<String>,
    ) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.edit_contact(&address(&jid)?, name.as_deref(), groups).await?) })
            .await
    }

    /// Hears no more of an account, one of its devices, or a whole server, and tells the server why, if that is given (XEP-0191,
    /// 0377). Returns when it is durable: the server is told as soon as there is a connection. One that does not know how to
    /// block refuses; then the address is off the list again.
    pub async fn block(&self, jid: String, report: Option<Report>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.block(&full_address(&jid)?, report.map(Into::into)).await?) })
            .await
    }

    /// Hears of them again.
    pub async fn unblock(&self, jid: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.unblock(&full_address(&jid)?).await?) }).await
    }

    /// The addresses of whom we do not hear.
    pub async fn blocked(&self) -> Result<Vec<String>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.blocked()?.iter().map(ToString::to_string).collect()) }).await
    }

    /// The picture of this hash, which a contact or a conversation has, if it is here.
    pub async fn avatar(&self, hash: String) -> Result<Option<Picture>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.avatar(&hash)?.map(Into::into)) }).await
    }

    /// Shows this picture of ourselves, or none (XEP-0084). Returns when it is durable. Fails with `InvalidInput` where it is none,
    /// or larger than a MiB or than the server takes.
    pub async fn set_avatar(&self, picture: Option<Picture>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_avatar(picture.map(Into::into)).await?) }).await
    }

    /// Tells contacts what we are called (XEP-0172); empty: nothing. Returns when it is durable.
    pub async fn set_nickname(&self, name: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_nickname(&name).await?) }).await
    }

    /// How we are there, as those see it who may see our presence, and what we say of it; nothing given or empty: nothing (RFC 6121
    /// §4.7.2). It stays on this device; each of our devices has its own. Returns when it is durable: it is said at once or as soon as
    /// there is a connection, and again by every new session. Fails with `InvalidInput` for a text of more than 1024 bytes or with
    /// control characters.
    pub async fn set_presence(&self, show: Show, text: Option<String>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_presence(show.into(), text.as_deref()).await?) }).await
    }

    /// How we are there, as it was set last; also while we are offline. At first available without a text.
    pub async fn presence(&self) -> Result<Presence, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.presence()?.into()) }).await
    }

    /// What somebody says of themselves at length (XEP-0292, XEP-0054), as their server has it now; we ourselves, too. Empty where they
    /// say nothing, or nothing to us. Fails with `Offline`, `TimedOut`, `ServerRefused`.
    pub async fn card(&self, jid: String) -> Result<Card, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.card(&address(&jid)?).await?.into()) }).await
    }

    /// The same as it was when it was last read, and our own as it was last set; for showing it at once, and offline.
    pub async fn known_card(&self, jid: String) -> Result<Option<KnownCard>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.known_card(&address(&jid)?)?.map(Into::into)) }).await
    }

    /// Says this of ourselves at length. What the server has of us and a card has no place for stays. Returns when it is durable; the
    /// server has it as soon as there is a connection. Fails with `InvalidInput` where a value is empty or too long, or
    /// there are too many.
    pub async fn set_card(&self, card: Card, audience: Audience) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_card(card.into(), audience.into()).await?) }).await
    }

    /// Removes a contact (RFC 6121 §2.5). The messages stay.
    pub async fn remove_contact(&self, jid: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.remove_contact(&address(&jid)?).await?) }).await
    }

    /// Does not let them see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now.
    pub async fn decline_contact(&self, jid: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.decline_contact(&address(&jid)?).await?) }).await
    }

    /// What contacts are told of what we do, unless it is decided otherwise for one of them. It stays on this device. Strangers are
    /// told nothing, whatever is decided.
    pub async fn set_signals(&self, signals: Signals) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_signals(signals.into()).await?) }).await
    }

    /// What one of them is told; nothing given: as in general.
    pub async fn set_signals_with(&self, jid: String, signals: Option<Signals>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(
            async move { Ok(account.set_signals_with(&address(&jid)?, signals.map(Into::into)).await?) },
        )
        .await
    }

    /// What contacts are told in general.
    pub async fn signals(&self) -> Result<Signals, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.signals()?.into()) }).await
    }

    /// Whether to notify of what strangers write. At first it is so.
    pub async fn set_notify_of_strangers(&self, on: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.set_notify_of_strangers(on).await?) }).await
    }

    /// Lets a contact see our presence (RFC 6121 §3.1.4), also one that has not asked yet (§3.4): once they ask they are
    /// answered.
    pub async fn accept_contact(&self, jid: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.accept_contact(&address(&jid)?).await?) }).await
    }

    /// Has our server tell this app server when something comes while this device is away (XEP-0357), and no other; nothing:
    /// nobody. Returns when it is durable: the server is told as soon as there is a connection, and again in each new session.
    /// A copy of the account's file, such as a backup that was put back, has no registration until it is told of one: to say it at
    /// each start is no harm.
    /// Fails with `InvalidInput` for what is no app server's address or an empty node.
    pub async fn set_push(&self, push: Option<Push>) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let push = push.map(TryInto::try_into).transpose()?;
            Ok(account.set_push(push).await?)
        })
        .await
    }

    /// How far the registration for push notifications is.
    pub async fn push(&self) -> Result<PushState, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.push()?.into()) }).await
    }

    /// Returns when caught up: no gap open since the first sign-in, and nothing waiting to be sent. Fails with `TimedOut`, or
    /// with `Offline` where there was no connection at the end of the time.
    pub async fn sync(&self, timeout: Duration) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.sync(timeout).await?) }).await
    }

    /// Sends a stanza as it is: one well-formed `message`, `presence` or `iq`. It is counted, kept and resent like any other of
    /// ours. Fails with `InvalidInput` where it is not.
    pub async fn send_raw(&self, xml: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.send_raw(&xml).await?) }).await
    }
}

/// One listener's view of an account's status. The listener pulls: nothing is kept for one that does not ask.
#[derive(Debug, uniffi::Object)]
pub struct Statuses {
    account: Counted<whimbrel::Account>,
    ended: watch::Sender<bool>,
}

impl Statuses {
    fn new(account: whimbrel::Account) -> Arc<Self> {
        Arc::new(Self { account: Counted::new(account), ended: watch::Sender::new(false) })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Statuses {
    /// Waits until the status is another than this one, and returns it. Nothing in between is promised to be seen. Fails
    /// with `Closed`.
    pub async fn after(&self, seen: Status) -> Result<Status, WhimbrelError> {
        let (account, seen) = (self.account.clone(), seen.into());
        let mut ended = self.ended.subscribe();
        guard::task(async move {
            tokio::select! {
                status = account.status_after(&seen) => Ok(status?.into()),
                _ = ended.wait_for(|ended| *ended) => Err(WhimbrelError::Closed),
            }
        })
        .await
    }

    /// Nobody listens any more: what waits in `after` fails with `Closed`. Where dropping the future does it (Kotlin) nobody has to
    /// say so.
    pub fn end(&self) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.ended.send_replace(true);
            Ok(())
        })
    }
}
