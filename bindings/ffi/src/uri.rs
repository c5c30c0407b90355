//! `xmpp:` links and QR codes (RFC 5122, XEP-0147), as records and back. Reading or writing one does nothing.
//!
//! The query types that a messenger meets are told apart as the core's are; of the others there is all that they say. What is
//! written is read before it is given out, so that it says the same to whoever scans it.

use whimbrel::{
    Uri,
    uri::{Action, Query, UriError},
};

use crate::{
    WhimbrelError,
    error::{address, full_address},
    guard,
};

/// An `xmpp:` link. It may come from anybody: nobody acts on one before a person has said so.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct XmppLink {
    /// Whom it is about: an account, one of its devices, a server or a service. Absent only if there is an account.
    pub address: Option<String>,
    /// What to do there. Absent: talk to them.
    pub action: Option<XmppLinkAction>,
    /// As whom of our own accounts to do it (RFC 5122 §2.3), where it says.
    pub account: Option<String>,
}

/// What a link asks for. Parameters that do not stand here are left out, but for `Other`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum XmppLinkAction {
    /// Write a message (XEP-0147 §4.3), with this begun already.
    Message {
        /// Its text.
        body: Option<String>,
        /// Its subject.
        subject: Option<String>,
        /// Its thread (RFC 6121 §5.2.5).
        thread: Option<String>,
    },
    /// Ask to see their presence (XEP-0147 §4.2).
    Subscribe,
    /// No longer see it.
    Unsubscribe,
    /// Add a contact (XEP-0147 §4.1).
    Roster {
        /// How to call it.
        name: Option<String>,
        /// Its groups.
        groups: Vec<String>,
        /// With this they accept us without being asked (XEP-0379): see `add_inviter`.
        token: Option<String>,
        /// With the token one may register with their server, too (XEP-0401).
        registers: bool,
    },
    /// Remove a contact.
    Remove,
    /// Register with a server, under this name if the address has one (XEP-0445): see `register`.
    Register {
        /// The invitation.
        token: Option<String>,
    },
    /// Enter a room (XEP-0045 §17.3.3).
    Join {
        /// Its password.
        password: Option<String>,
    },
    /// Something else.
    Other {
        /// The query type; the XMPP Registrar keeps a list of them.
        name: String,
        /// Its parameters, in their order.
        parameters: Vec<XmppLinkParameter>,
    },
}

/// A parameter of a link.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct XmppLinkParameter {
    /// Its name.
    pub name: String,
    /// What it says; of one without a value nothing.
    pub value: String,
}

/// Reads an `xmpp:` link, or what a QR code says. Fails with `InvalidInput` for what is none.
#[uniffi::export]
pub fn read_xmpp_link(uri: String) -> Result<XmppLink, WhimbrelError> {
    guard::sync(|| Ok(uri.parse::<Uri>().map_err(no_link)?.into()))
}

/// Writes a link, in ASCII. Fails with `InvalidInput` where it names nobody or what is no address, is too long, has characters that
/// no XML has, or would be read as something else.
#[uniffi::export]
pub fn write_xmpp_link(link: XmppLink) -> Result<String, WhimbrelError> {
    guard::sync(|| {
        let action = link.action.clone();
        let uri = Uri::try_from(link)?;
        let text = uri.to_string();
        let read: Uri = text.parse().map_err(no_link)?;
        if read == uri && read.action().map(Into::into) == action {
            return Ok(text);
        }
        Err(WhimbrelError::InvalidInput { what: "the link would be read as another".into() })
    })
}

fn no_link(error: UriError) -> WhimbrelError {
    WhimbrelError::InvalidInput { what: format!("not a link: {error}") }
}

impl From<Uri> for XmppLink {
    fn from(uri: Uri) -> Self {
        Self {
            address: uri.address.as_ref().map(ToString::to_string),
            action: uri.action().map(Into::into),
            account: uri.account.as_ref().map(ToString::to_string),
        }
    }
}

impl TryFrom<XmppLink> for Uri {
    type Error = WhimbrelError;

    fn try_from(link: XmppLink) -> Result<Self, WhimbrelError> {
        Ok(Self {
            account: link.account.as_deref().map(address).transpose()?,
            address: link.address.as_deref().map(full_address).transpose()?,
            query: link.action.map(Into::into),
            fragment: None,
        })
    }
}

impl From<Action<'_>> for XmppLinkAction {
    fn from(action: Action<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match action {
            Action::Message { body, subject, thread } => {
                Self::Message { body: owned(body), subject: owned(subject), thread: owned(thread) }
            }
            Action::Subscribe => Self::Subscribe,
            Action::Unsubscribe => Self::Unsubscribe,
            Action::Roster { name, groups, token, registers } => {
                let groups = groups.into_iter().map(str::to_owned).collect();
                Self::Roster { name: owned(name), groups, token: owned(token), registers }
            }
            Action::Remove => Self::Remove,
            Action::Register { token } => Self::Register { token: owned(token) },
            Action::Join { password } => Self::Join { password: owned(password) },
            Action::Other(query) => {
                let Query { name, parameters } = query.clone();
                let parameter = |(name, value)| XmppLinkParameter { name, value };
                Self::Other { name, parameters: parameters.into_iter().map(parameter).collect() }
            }
        }
    }
}

impl From<XmppLinkAction> for Query {
    fn from(action: XmppLinkAction) -> Self {
        let (name, parameters) = match action {
            XmppLinkAction::Message { body, subject, thread } => {
                ("message", vec![("body", body), ("subject", subject), ("thread", thread)])
            }
            XmppLinkAction::Subscribe => ("subscribe", vec![]),
            XmppLinkAction::Unsubscribe => ("unsubscribe", vec![]),
            XmppLinkAction::Roster { name, groups, token, registers } => {
                let mut parameters = vec![("name", name)];
                parameters.extend(groups.into_iter().map(|group| ("group", Some(group))));
                parameters.extend([("preauth", token), ("ibr", registers.then(|| "y".into()))]);
                ("roster", parameters)
            }
            XmppLinkAction::Remove => ("remove", vec![]),
            XmppLinkAction::Register { token } => ("register", vec![("preauth", token)]),
            XmppLinkAction::Join { password } => ("join", vec![("password", password)]),
            XmppLinkAction::Other { name, parameters } => {
                let parameter = |XmppLinkParameter { name, value }| (name, value);
                return Self { name, parameters: parameters.into_iter().map(parameter).collect() };
            }
        };
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self { name: name.to_owned(), parameters: given.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str, action: Option<XmppLinkAction>) -> XmppLink {
        XmppLink { address: Some(address.to_owned()), action, account: None }
    }

    fn is_invalid<T>(result: Result<T, WhimbrelError>) -> bool {
        matches!(result, Err(WhimbrelError::InvalidInput { .. }))
    }

    #[test]
    fn a_link_comes_back_as_it_went() {
        let some = |text: &str| Some(text.to_owned());
        let parameter =
            |name: &str, value: &str| XmppLinkParameter { name: name.into(), value: value.into() };
        let body = some("1 + 1 = 2;\n«ř» & #?");
        let actions = [
            None,
            Some(XmppLinkAction::Message { body, subject: some(""), thread: some("t") }),
            Some(XmppLinkAction::Message { body: None, subject: None, thread: None }),
            Some(XmppLinkAction::Subscribe),
            Some(XmppLinkAction::Unsubscribe),
            Some(XmppLinkAction::Roster {
                name: some("Juliet & co"),
                groups: vec!["Friends".into(), "Verona".into()],
                token: some("T"),
                registers: true,
            }),
            Some(XmppLinkAction::Roster { name: None, groups: vec![], token: None, registers: false }),
            Some(XmppLinkAction::Remove),
            Some(XmppLinkAction::Register { token: some("T") }),
            Some(XmppLinkAction::Join { password: some("cauldron") }),
            Some(XmppLinkAction::Other {
                name: "command".into(),
                parameters: vec![parameter("node", "stats"), parameter("", ""), parameter("action", "")],
            }),
        ];
        for action in actions {
            for account in [None, some("romeo@montague.lit")] {
                let link = XmppLink { account, ..to("juliet@capulet.lit/the balcony", action.clone()) };
                let written = write_xmpp_link(link.clone()).unwrap();
                assert!(written.is_ascii(), "{written}");
                assert_eq!(read_xmpp_link(written).unwrap(), link);
            }
        }
        let alone = XmppLink { address: None, action: None, account: some("romeo@montague.lit") };
        assert_eq!(write_xmpp_link(alone).unwrap(), "xmpp://romeo@montague.lit");
        let invitation = "xmpp:juliet@capulet.lit?roster;preauth=T;name=Juliet";
        let roster = XmppLinkAction::Roster {
            name: some("Juliet"),
            groups: vec![],
            token: some("T"),
            registers: false,
        };
        assert_eq!(read_xmpp_link(invitation.into()).unwrap(), to("juliet@capulet.lit", Some(roster)));
    }

    #[test]
    fn what_is_no_link_is_invalid_input() {
        for text in
            ["", "juliet@capulet.lit", "mailto:juliet@capulet.lit", "xmpp:", "xmpp:a%40b@c", "xmpp:a@b%"]
        {
            assert!(is_invalid(read_xmpp_link(text.into())), "{text}");
        }
        assert!(is_invalid(write_xmpp_link(XmppLink { address: None, action: None, account: None })));
        let no_account = XmppLink { account: Some("@".into()), ..to("juliet@capulet.lit", None) };
        assert!(is_invalid(write_xmpp_link(no_account)));
        let message =
            |body: &str| XmppLinkAction::Message { body: Some(body.into()), subject: None, thread: None };
        let other = |name: &str| XmppLinkAction::Other { name: name.into(), parameters: vec![] };
        for (address, action) in [
            ("@", None),
            ("juliet@capulet.lit", Some(message("\0"))),
            ("juliet@capulet.lit", Some(message(&"x".repeat(65_536)))),
            // Each would be read as something else.
            ("juliet@capulet.lit", Some(other("remove"))),
            ("juliet@capulet.lit", Some(other(""))),
        ] {
            assert!(is_invalid(write_xmpp_link(to(address, action))), "{address}");
        }
    }
}
