//! A new account on a server.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Mutex;

use crate::{Account, WhimbrelError, counted::Counted, guard};

/// A server that was asked for an account and wants to know something. Letting go of it ends the stream; nothing is left of it.
#[derive(Debug, uniffi::Object)]
pub struct Registration {
    registration: Counted<Arc<Mutex<whimbrel::Registration>>>,
    form: RegistrationForm,
}

/// What a server wants to know of who wants an account (XEP-0077).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationForm {
    /// What the server says to it, for a person.
    pub instructions: Option<String>,
    /// In its order.
    pub fields: Vec<RegistrationField>,
    /// Where else one may register (XEP-0066): nowhere here, if there are no fields.
    pub url: Option<String>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationField {
    /// How it is named in the answer: `username` and `password` are always called so.
    pub name: String,
    /// What to call it before a person.
    pub label: Option<String>,
    /// How to ask (XEP-0004 §3.3): `text-single`, `text-private`, `boolean`, `list-single`, `hidden`, `fixed`, and so on.
    pub kind: String,
    /// There is no account without an answer.
    pub required: bool,
    /// What it is, if nobody says otherwise.
    pub value: Option<String>,
    /// What it can be.
    pub choices: Vec<RegistrationChoice>,
    /// What it is about (XEP-0221), such as a picture of letters (XEP-0158).
    pub media: Vec<RegistrationMedia>,
}

/// One of the answers that a question takes.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationChoice {
    /// What to call it before a person.
    pub label: Option<String>,
    /// The answer.
    pub value: String,
}

/// Something to look at or to listen to.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationMedia {
    /// Its media type, as the server says.
    pub kind: String,
    /// Itself; empty where it is not here.
    pub bytes: Vec<u8>,
    /// Where it lies.
    pub uri: String,
}

impl Registration {
    pub(crate) fn new(registration: whimbrel::Registration) -> Arc<Self> {
        let form = registration.form().clone().into();
        Arc::new(Self { registration: Counted::new(Arc::new(Mutex::new(registration))), form })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Registration {
    /// What the server wants to know.
    pub fn form(&self) -> Result<RegistrationForm, WhimbrelError> {
        guard::sync(|| Ok(self.form.clone()))
    }

    /// Answers, by the names of the fields, and signs in with the account that the server makes of it. Where it refuses, another
    /// answer can be given on the same form.
    ///
    /// Fails with `InvalidInput` where something is missing, or the invitation is for another name; with `ServerRefused` as the
    /// server says: `conflict` where the name is taken, `not-acceptable` for a wrong answer or a weak password; with `Offline`
    /// or `TimedOut` where the stream has ended: the server may have made the account all the same, and signing in tells. Fails it
    /// as `add_account`, or with `Suspended`, the server has made it: it is to be added and signed in to. A call that is cancelled
    /// goes on to its end.
    pub async fn submit(&self, answers: HashMap<String, String>) -> Result<Arc<Account>, WhimbrelError> {
        let registration = Arc::clone(&self.registration);
        guard::to_the_end(async move {
            let mut registration = registration.lock().await;
            Ok(Account::new(registration.submit(&answers.into_iter().collect()).await?))
        })
        .await
    }
}

impl From<whimbrel::RegistrationForm> for RegistrationForm {
    fn from(form: whimbrel::RegistrationForm) -> Self {
        let fields = form.fields.into_iter().map(Into::into).collect();
        Self { instructions: form.instructions, fields, url: form.url }
    }
}

impl From<whimbrel::RegistrationField> for RegistrationField {
    fn from(field: whimbrel::RegistrationField) -> Self {
        let whimbrel::RegistrationField { name, label, kind, required, value, choices, media } = field;
        let choices = choices.into_iter().map(|(label, value)| RegistrationChoice { label, value }).collect();
        let media = media
            .into_iter()
            .map(|whimbrel::Media { kind, bytes, uri }| RegistrationMedia { kind, bytes, uri })
            .collect();
        Self { name, label, kind, required, value, choices, media }
    }
}
