//! Services: what they are and have, what they do on command, and what an app speaks in namespaces of its own.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Mutex;

use crate::{
    Account, SendState, WhimbrelError,
    counted::Counted,
    error::{address, full_address},
    guard,
};

/// What an address is and can do (XEP-0030 §3).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Info {
    /// What it is.
    pub identities: Vec<Identity>,
    /// What it can do: namespaces, most often.
    pub features: Vec<String>,
    /// What else it says of itself (XEP-0128).
    pub forms: Vec<Form>,
}

/// What something is (XEP-0030 §3.1).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Identity {
    /// `server`, `conference`, `client`, …
    pub category: String,
    /// Which of these: `im`, `text`, `phone`, …
    pub kind: String,
    /// What it is called, for a person.
    pub name: Option<String>,
}

/// Something that belongs to an address (XEP-0030 §4).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Entity {
    /// Its own address.
    pub jid: String,
    /// Which part of that it is.
    pub node: Option<String>,
    /// What it is called, for a person.
    pub name: Option<String>,
}

/// Some of what belongs to an address.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Entities {
    /// They, in the order of whoever answers.
    pub entities: Vec<Entity>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

/// A form (XEP-0004): to be filled in, filled in, or a result.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Form {
    /// What it is for.
    pub kind: FormKind,
    /// Its title.
    pub title: Option<String>,
    /// What to do with it, for a person.
    pub instructions: Vec<String>,
    /// Its fields, in their order.
    pub fields: Vec<FormField>,
    /// Of a result that is a table: its columns.
    pub columns: Vec<FormField>,
    /// And its rows: fields, each with the name of its column.
    pub rows: Vec<Vec<FormField>>,
}

/// A field of a form (XEP-0004 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FormField {
    /// Its name, unique in the form; only one that is fixed has none.
    pub name: String,
    /// What it takes.
    pub kind: FieldKind,
    /// What to call it, for a person.
    pub label: Option<String>,
    /// More about it, for a person.
    pub description: Option<String>,
    /// Without it the form is not complete.
    pub required: bool,
    /// What there is to choose from, for lists.
    pub options: Vec<Choice>,
    /// What is not among the options may be said, too (XEP-0122 §3.2.2).
    pub open: bool,
    /// What it says; before it is filled in, what it would say by itself.
    pub values: Vec<String>,
}

/// What one may choose.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Choice {
    /// What to call it, for a person.
    pub label: Option<String>,
    /// What it is.
    pub value: String,
}

/// Writes out an enum without fields that is the core's, and how it becomes that and back.
macro_rules! mirrored {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl From<whimbrel::$name> for $name {
            fn from(value: whimbrel::$name) -> Self {
                match value {
                    $(whimbrel::$name::$variant => Self::$variant,)+
                }
            }
        }

        impl From<$name> for whimbrel::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant,)+
                }
            }
        }
    };
}

pub(crate) use mirrored;

mirrored! {
    /// What a form is for (XEP-0004 §3.1).
    FormKind {
        /// To be filled in.
        Form,
        /// Filled in.
        Submit,
        /// Not to be filled in any more.
        Cancel,
        /// What a service found or did.
        Result,
    }
}

mirrored! {
    /// What a field takes (XEP-0004 §3.3).
    FieldKind {
        /// Yes or no: `true`, `false`.
        Boolean,
        /// Nothing: it is text of the form.
        Fixed,
        /// Nothing: it goes back as it came, and is not shown.
        Hidden,
        /// Addresses, each once.
        JidMulti,
        /// An address.
        JidSingle,
        /// Any of the options.
        ListMulti,
        /// One of the options.
        ListSingle,
        /// Lines of text.
        TextMulti,
        /// A line of text that is not to be seen, such as a password.
        TextPrivate,
        /// A line of text.
        TextSingle,
    }
}

mirrored! {
    /// Whether a command goes on (XEP-0050 §3.3).
    CommandStatus {
        /// It waits for what follows.
        Executing,
        /// It is done.
        Completed,
        /// It was cancelled, by either side.
        Canceled,
    }
}

mirrored! {
    /// What one may do with a command (XEP-0050 §3.4).
    CommandAction {
        /// Begin it, or go on in whatever way is usual.
        Execute,
        /// The next stage.
        Next,
        /// Back to the stage before.
        Prev,
        /// Finish it.
        Complete,
        /// Give it up.
        Cancel,
    }
}

mirrored! {
    /// How much a note matters.
    CommandNoteKind {
        /// To be known.
        Info,
        /// It went on, and something is odd.
        Warn,
        /// It did not work.
        Error,
    }
}

mirrored! {
    /// How something is asked (RFC 6120 §8.2.3).
    RequestKind {
        /// To know something.
        Get,
        /// To have something done.
        Set,
    }
}

mirrored! {
    /// Where an app speaks a namespace.
    ClaimKind {
        /// In questions to us: `Asked`.
        Requests,
        /// In messages that have no text: `NewPayload`.
        Messages,
    }
}

/// How far a command has come.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct CommandStage {
    /// Whether it goes on.
    pub status: CommandStatus,
    /// What may be done now; while it is executing, to cancel it, too.
    pub actions: Vec<CommandAction>,
    /// What is meant where nothing else is said: one of the actions.
    pub usual: Option<CommandAction>,
    /// What it wants to know, or has found.
    pub form: Option<Form>,
    /// What it says, for a person.
    pub notes: Vec<CommandNote>,
}

/// What a command says (XEP-0050 §3.4).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct CommandNote {
    /// How much it matters.
    pub kind: CommandNoteKind,
    /// For a person.
    pub text: String,
}

/// What we answer to a question that the app was told of.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Answer {
    /// Something, or nothing.
    Result {
        /// One well-formed element.
        xml: Option<String>,
    },
    /// That it cannot be.
    Refusal {
        /// A condition of RFC 6120 §8.3.3.
        condition: String,
    },
}

/// Something in a message that only the app understands.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Payload {
    /// Stable for ever.
    pub id: String,
    /// The address of whom it is exchanged with.
    pub with: String,
    /// The full address of who sent it.
    pub from: String,
    /// Whether we did, here or on another device.
    pub mine: bool,
    /// Its namespace, which is claimed.
    pub namespace: String,
    /// The element. Nobody has looked into it.
    pub xml: String,
    /// When it reached the server or us, ms UTC.
    pub at: i64,
    /// How far it has come, if it is ours.
    pub state: Option<SendState>,
}

#[uniffi::export(async_runtime = "tokio")]
impl Account {
    /// What an address, or a node of it, is and can do (XEP-0030 §3). Fails with `Offline`, `TimedOut`, `ServerRefused`.
    pub async fn info(&self, of: String, node: Option<String>) -> Result<Info, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.info(&full_address(&of)?, node.as_deref()).await?.into()) }).await
    }

    /// What belongs to an address, or to a node of it (XEP-0030 §4): a page of it, behind what a page before has as its `next`. Fails
    /// as `info`.
    pub async fn items_of(
        &self,
        of: String,
        node: Option<String>,
        after: Option<String>,
    ) -> Result<Entities, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            Ok(account.items_of(&full_address(&of)?, node.as_deref(), after.as_deref()).await?.into())
        })
        .await
    }

    /// What a service does for us on command (XEP-0050 §2.3): each has the node that `execute` takes. Fails as `info`.
    pub async fn commands_of(&self, of: String) -> Result<Vec<Entity>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            Ok(account.commands_of(&full_address(&of)?).await?.into_iter().map(Into::into).collect())
        })
        .await
    }

    /// Has a service execute a command, which may ask for more before it is done. Fails as `info`.
    pub async fn execute(&self, of: String, node: String) -> Result<Arc<AdHoc>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(AdHoc::new(account.execute(&full_address(&of)?, &node).await?)) }).await
    }

    /// Asks anybody anything (RFC 6120 §8.2.3) with one well-formed element. Returns what was answered: one element, or nothing. Fails
    /// as `info`, and with `InvalidInput` where the payload is not one element, or larger than the server takes.
    pub async fn request(
        &self,
        of: String,
        kind: RequestKind,
        payload: String,
    ) -> Result<Option<String>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.request(&full_address(&of)?, kind.into(), &payload).await?) })
            .await
    }

    /// The app speaks this namespace from now on, or no longer, and on this device: in questions to us, told as `Asked`, or in
    /// messages that have no text, told as `NewPayload`. What came before is not looked at again: it is claimed before the first
    /// sign-in. Of strangers nothing is told. Fails with `InvalidInput` for what is no namespace, is spoken here already, or is
    /// one too many.
    pub async fn claim(&self, namespace: String, what: ClaimKind, on: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.claim(&namespace, what.into(), on).await?) }).await
    }

    /// Answers what `Asked` told; what is not answered within a minute is refused. Returns when it is durable. Fails with `NotFound`
    /// where it was answered, or asked in an earlier session, and with `InvalidInput` where the answer is not one element, too
    /// large, or no condition.
    pub async fn answer(&self, asked: i64, answer: Answer) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let answer = match &answer {
                Answer::Result { xml } => Ok(xml.as_deref()),
                Answer::Refusal { condition } => Err(condition.as_str()),
            };
            Ok(account.answer(whimbrel::AskedId(asked), answer).await?)
        })
        .await
    }

    /// Sends something that only the app understands, in a message that is shown to nobody: one well-formed element in a namespace
    /// that is claimed. As with `send` it is durable when this returns, and the same id, a UUID made by the caller, is the same
    /// message. Fails with `InvalidInput`, `StorageFull`, `DatabaseUnusable`.
    pub async fn send_payload(&self, id: String, to: String, xml: String) -> Result<String, WhimbrelError> {
        let account = self.account.clone();
        guard::task(
            async move { Ok(account.send_payload(whimbrel::ItemId(id), &address(&to)?, &xml).await?.0) },
        )
        .await
    }

    /// What was exchanged with a contact in a namespace, in the archive's order, up to `limit` of it, 1 to 500; what stands behind
    /// `after`. What comes late may stand before what was read: after `sync` it is complete. Fails with `NotFound` where there is
    /// none of that id.
    pub async fn payloads(
        &self,
        with: String,
        namespace: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Payload>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let after = after.map(whimbrel::ItemId);
            let payloads = account.payloads(&address(&with)?, &namespace, after.as_ref(), limit)?;
            Ok(payloads.into_iter().map(Into::into).collect())
        })
        .await
    }
}

/// A command that a service executes for us. Each step needs a connection and waits for its answer: it fails with `Offline`,
/// `TimedOut`, `ServerRefused`; with `InvalidInput` where the command is over, this stage does not offer that, or a field of the
/// form that is required says nothing. One that is dropped is not cancelled: the service forgets it after a while.
#[derive(Debug, uniffi::Object)]
pub struct AdHoc {
    command: Counted<Arc<Mutex<whimbrel::AdHoc>>>,
}

impl AdHoc {
    fn new(command: whimbrel::AdHoc) -> Arc<Self> {
        Arc::new(Self { command: Counted::new(Arc::new(Mutex::new(command))) })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl AdHoc {
    /// How far it has come: what it says, wants to know, and lets us do.
    pub async fn stage(&self) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(async move { Ok(command.lock().await.stage().clone().into()) }).await
    }

    /// Goes on with this, in the way that the service means where there are several.
    pub async fn execute(&self, form: Option<Form>) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(
            async move { Ok(command.lock().await.execute(form.map(Into::into)).await?.clone().into()) },
        )
        .await
    }

    /// Goes on to the next stage with this.
    pub async fn next(&self, form: Option<Form>) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(async move { Ok(command.lock().await.next(form.map(Into::into)).await?.clone().into()) })
            .await
    }

    /// Goes back to the stage before.
    pub async fn prev(&self) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(async move { Ok(command.lock().await.prev().await?.clone().into()) }).await
    }

    /// Finishes it with this.
    pub async fn complete(&self, form: Option<Form>) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(
            async move { Ok(command.lock().await.complete(form.map(Into::into)).await?.clone().into()) },
        )
        .await
    }

    /// Gives it up.
    pub async fn cancel(&self) -> Result<CommandStage, WhimbrelError> {
        let command = self.command.clone();
        guard::task(async move { Ok(command.lock().await.cancel().await?.clone().into()) }).await
    }
}

/// Reads the text of a form's `<x/>`. Fails with `InvalidInput`.
#[uniffi::export]
pub fn read_form(xml: String) -> Result<Form, WhimbrelError> {
    guard::sync(|| Ok(form_error(whimbrel::Form::parse(&xml))?.into()))
}

/// A form with these values in these fields, by their names. Fails with `InvalidInput` where there is no such field, or it does not
/// take that.
#[uniffi::export]
pub fn fill_form(form: Form, values: HashMap<String, Vec<String>>) -> Result<Form, WhimbrelError> {
    guard::sync(|| {
        let mut form = whimbrel::Form::from(form);
        for (name, values) in values {
            form_error(form.set(&name, values))?;
        }
        Ok(form.into())
    })
}

/// The form as it is submitted, as text, for a payload that has one in it. Fails with `InvalidInput` where a field is required and
/// says nothing.
#[uniffi::export]
pub fn submit_form(form: Form) -> Result<String, WhimbrelError> {
    guard::sync(|| form_error(whimbrel::Form::from(form).submit()))
}

fn form_error<T>(result: Result<T, whimbrel::FormError>) -> Result<T, WhimbrelError> {
    result.map_err(|error| whimbrel::Error::from(error).into())
}

fn each<A: Into<B>, B>(all: Vec<A>) -> Vec<B> {
    all.into_iter().map(Into::into).collect()
}

impl From<whimbrel::Info> for Info {
    fn from(whimbrel::Info { identities, features, forms }: whimbrel::Info) -> Self {
        Self { identities: each(identities), features, forms: each(forms) }
    }
}

impl From<whimbrel::Identity> for Identity {
    fn from(whimbrel::Identity { category, kind, name }: whimbrel::Identity) -> Self {
        Self { category, kind, name }
    }
}

impl From<whimbrel::Entity> for Entity {
    fn from(whimbrel::Entity { jid, node, name }: whimbrel::Entity) -> Self {
        Self { jid: jid.to_string(), node, name }
    }
}

impl From<whimbrel::Entities> for Entities {
    fn from(whimbrel::Entities { entities, next }: whimbrel::Entities) -> Self {
        Self { entities: each(entities), next }
    }
}

impl From<whimbrel::Form> for Form {
    fn from(form: whimbrel::Form) -> Self {
        let whimbrel::Form { kind, title, instructions, fields, columns, rows } = form;
        let rows = rows.into_iter().map(each).collect();
        Self { kind: kind.into(), title, instructions, fields: each(fields), columns: each(columns), rows }
    }
}

impl From<Form> for whimbrel::Form {
    fn from(Form { kind, title, instructions, fields, columns, rows }: Form) -> Self {
        let rows = rows.into_iter().map(each).collect();
        Self { kind: kind.into(), title, instructions, fields: each(fields), columns: each(columns), rows }
    }
}

impl From<whimbrel::Field> for FormField {
    fn from(field: whimbrel::Field) -> Self {
        let whimbrel::Field { name, kind, label, description, required, options, open, values } = field;
        let (kind, options) = (kind.into(), each(options));
        Self { name, kind, label, description, required, options, open, values }
    }
}

impl From<FormField> for whimbrel::Field {
    fn from(field: FormField) -> Self {
        let FormField { name, kind, label, description, required, options, open, values } = field;
        let (kind, options) = (kind.into(), each(options));
        Self { name, kind, label, description, required, options, open, values }
    }
}

impl From<whimbrel::Choice> for Choice {
    fn from(whimbrel::Choice { label, value }: whimbrel::Choice) -> Self {
        Self { label, value }
    }
}

impl From<Choice> for whimbrel::Choice {
    fn from(Choice { label, value }: Choice) -> Self {
        Self { label, value }
    }
}

impl From<whimbrel::CommandStage> for CommandStage {
    fn from(stage: whimbrel::CommandStage) -> Self {
        let whimbrel::CommandStage { session: _, status, actions, default, form, notes } = stage;
        Self {
            status: status.into(),
            actions: each(actions),
            usual: default.map(Into::into),
            form: form.map(Into::into),
            notes: each(notes),
        }
    }
}

impl From<whimbrel::CommandNote> for CommandNote {
    fn from(whimbrel::CommandNote { kind, text }: whimbrel::CommandNote) -> Self {
        Self { kind: kind.into(), text }
    }
}

impl From<whimbrel::Payload> for Payload {
    fn from(payload: whimbrel::Payload) -> Self {
        let whimbrel::Payload { id, with, from, mine, namespace, xml, at, state } = payload;
        let (with, from, state) = (with.to_string(), from.to_string(), state.map(Into::into));
        Self { id: id.0, with, from, mine, namespace, xml, at, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_back_as_it_went() {
        let xml = "<x xmlns='jabber:x:data' type='form'><title>t</title><instructions>i</instructions>
            <field var='a' type='list-multi' label='l'><desc>d</desc><required/><value>v</value><option label='o'><value>v</value></option></field>
            <reported><field var='c'/></reported><item><field var='c'><value>w</value></field></item></x>";
        let form = read_form(xml.into()).unwrap();
        assert_eq!(Form::from(whimbrel::Form::from(form.clone())), form);
        let filled = fill_form(form.clone(), HashMap::from([("a".into(), vec!["v".into()])])).unwrap();
        assert!(submit_form(filled).unwrap().contains("<field var='a'><value>v</value></field>"));
        let refused = fill_form(form, HashMap::from([("a".into(), vec!["w".into()])]));
        assert!(matches!(refused, Err(WhimbrelError::InvalidInput { .. })));
    }
}
