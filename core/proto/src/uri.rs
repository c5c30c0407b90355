//! `xmpp:` links (RFC 5122) and what they ask for (XEP-0147), as data. Reading one does nothing, and nobody may act on one
//! before a person has said so: a link comes from strangers.
//!
//! URIs and IRIs are read alike; what is written is always a URI, in ASCII. The parts are told apart before anything is
//! decoded, so that an encoded separator never becomes one, and a part that holds what it cannot hold is refused. The
//! address is normalised as every other, see [`address`]; text has no characters that XML does not have.

use std::fmt::{self, Write as _};

use jid::{BareJid, Jid};

use crate::address;

/// Longest link that is read, in bytes. Longer ones are no links.
const MAX: usize = 64 * 1024;

/// An `xmpp:` link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// As whom of one's own accounts to do it (RFC 5122 §2.3), where it says.
    pub account: Option<BareJid>,
    /// Whom it is about. Absent only if there is an account.
    pub address: Option<Jid>,
    /// What to do there. Absent: talk to them.
    pub query: Option<Query>,
    /// The part behind `#`, which XMPP gives no meaning.
    pub fragment: Option<String>,
}

/// What a link asks for (RFC 5122 §2.5), whether we know it or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The query type, such as `message`; the XMPP Registrar keeps a list of them.
    pub name: String,
    /// Its parameters in their order, decoded.
    pub parameters: Vec<(String, String)>,
}

/// The query types that a messenger meets (XEP-0147), with what is needed of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Write a message (XEP-0147 §4.3), with this begun already.
    Message {
        /// Its text.
        body: Option<&'a str>,
        /// Its subject.
        subject: Option<&'a str>,
        /// Its thread (RFC 6121 §5.2.5).
        thread: Option<&'a str>,
    },
    /// Ask to see their presence (§4.2).
    Subscribe,
    /// No longer see it.
    Unsubscribe,
    /// Add a contact (§4.1).
    Roster {
        /// How to call it.
        name: Option<&'a str>,
        /// Its groups.
        groups: Vec<&'a str>,
        /// With this they accept us without being asked (XEP-0379).
        token: Option<&'a str>,
        /// With the token one may register with their server, too (XEP-0401).
        registers: bool,
    },
    /// Register with a server, under this name if the address has one (XEP-0445).
    Register {
        /// The invitation.
        token: Option<&'a str>,
    },
    /// Remove a contact.
    Remove,
    /// Enter a room (XEP-0045 §17.3.3).
    Join {
        /// Its password.
        password: Option<&'a str>,
    },
    /// Something else.
    Other(&'a Query),
}

/// Why a text is no `xmpp:` link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Another scheme, or none.
    #[error("it does not begin with xmpp:")]
    Scheme,
    /// Nobody is named.
    #[error("it names nobody")]
    Nobody,
    /// What is named is no address.
    #[error("it names no valid address")]
    Address,
    /// A `%` without two hexadecimal digits.
    #[error("a % is not followed by two hexadecimal digits")]
    Percent,
    /// What was encoded is not UTF-8.
    #[error("what is encoded in it is not UTF-8")]
    Utf8,
    /// A control character, plain or encoded, or a space.
    #[error("it has a forbidden character")]
    Character,
    /// More than 64 KiB.
    #[error("it is too long")]
    TooLong,
}

impl Uri {
    /// A link to somebody.
    pub fn to(address: impl Into<Jid>) -> Self {
        Self { account: None, address: Some(address.into()), query: None, fragment: None }
    }

    /// What it asks for; nothing: to talk to them.
    pub fn action(&self) -> Option<Action<'_>> {
        self.query.as_ref().map(Query::action)
    }
}

impl Query {
    /// A parameter, the first of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn action(&self) -> Action<'_> {
        match self.name.as_str() {
            "message" => Action::Message {
                body: self.parameter("body"),
                subject: self.parameter("subject"),
                thread: self.parameter("thread"),
            },
            "subscribe" => Action::Subscribe,
            "unsubscribe" => Action::Unsubscribe,
            "roster" => Action::Roster {
                name: self.parameter("name"),
                groups: self.all("group").collect(),
                token: self.parameter("preauth"),
                registers: self.parameter("ibr") == Some("y"),
            },
            "register" => Action::Register { token: self.parameter("preauth") },
            "remove" => Action::Remove,
            "join" => Action::Join { password: self.parameter("password") },
            _ => Action::Other(self),
        }
    }
}

impl std::str::FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("xmpp") {
            return Err(UriError::Scheme);
        }
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UriError::Character);
        }
        let (rest, fragment) = split_at(rest, '#');
        let (path, query) = split_at(rest, '?');
        let (account, path) = match path.strip_prefix("//") {
            Some(path) => {
                let (account, path) = split_at(path, '/');
                // Up to the `/`: it has no resource.
                (Some(read_address(account)?.into_bare()), path.unwrap_or_default())
            }
            None => (None, path),
        };
        let address = match path {
            "" if account.is_some() => None,
            "" => return Err(UriError::Nobody),
            path => Some(read_address(path)?),
        };
        let query = query.map(read_query).transpose()?.filter(|query| *query != Query::default());
        Ok(Self { account, address, query, fragment: fragment.map(decode).transpose()? })
    }
}

/// Writes a URI: everything that is not plain ASCII is percent-encoded UTF-8, as RFC 5122 §2.7.2 says.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xmpp:")?;
        if let Some(account) = &self.account {
            f.write_str("//")?;
            write_address(f, &account.clone().into())?;
            if self.address.is_some() {
                f.write_char('/')?;
            }
        }
        if let Some(address) = &self.address {
            write_address(f, address)?;
        }
        if let Some(query) = &self.query {
            f.write_char('?')?;
            encode(f, &query.name, "")?;
            for (key, value) in &query.parameters {
                f.write_char(';')?;
                encode(f, key, "")?;
                f.write_char('=')?;
                encode(f, value, "")?;
            }
        }
        if let Some(fragment) = &self.fragment {
            f.write_char('#')?;
            encode(f, fragment, "")?;
        }
        Ok(())
    }
}

fn split_at(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn read_address(text: &str) -> Result<Jid, UriError> {
    let (bare, resource) = split_at(text, '/');
    let (node, domain) = bare.split_once('@').map_or((None, bare), |(node, domain)| (Some(node), domain));
    let mut plain = String::with_capacity(text.len());
    if let Some(node) = node {
        plain.push_str(&without_separators(node)?);
        plain.push('@');
    }
    plain.push_str(&without_separators(domain)?);
    if let Some(resource) = resource {
        plain.push('/');
        plain.push_str(&decode(resource)?);
    }
    address::parse(&plain).ok_or(UriError::Address)
}

/// An encoded `@` or `/` would change who is meant.
fn without_separators(text: &str) -> Result<String, UriError> {
    let plain = decode(text)?;
    if plain.contains(['@', '/']) { Err(UriError::Address) } else { Ok(plain) }
}

fn read_query(text: &str) -> Result<Query, UriError> {
    let mut parts = text.split(';');
    let name = decode(parts.next().unwrap_or_default())?;
    let parameters = parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = split_at(part, '=');
            Ok((decode(key)?, decode(value.unwrap_or_default())?))
        })
        .collect::<Result<_, UriError>>()?;
    Ok(Query { name, parameters })
}

fn decode(text: &str) -> Result<String, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UriError::Percent) };
        bytes.push((high << 4 | low) as u8);
    }
    let plain = String::from_utf8(bytes).map_err(|_| UriError::Utf8)?;
    if plain.chars().any(is_not_xml) { Err(UriError::Character) } else { Ok(plain) }
}

/// What XML 1.0 §2.2 has no place for, and the second block of controls.
fn is_not_xml(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn write_address(f: &mut fmt::Formatter<'_>, address: &Jid) -> fmt::Result {
    if let Some(node) = address.node() {
        encode(f, node.as_str(), "!$()*+,;=")?;
        f.write_char('@')?;
    }
    encode(f, address.domain().as_str(), ":[]")?;
    if let Some(resource) = address.resource() {
        f.write_char('/')?;
        encode(f, resource.as_str(), "!$&'()*+,:;=")?;
    }
    Ok(())
}

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3 and those allowed here.
fn encode(f: &mut fmt::Formatter<'_>, text: &str, allowed: &str) -> fmt::Result {
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || (c.is_ascii() && allowed.contains(c)) {
            f.write_char(c)?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Uri {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn address(text: &str) -> String {
        read(text).address.expect("it names somebody").to_string()
    }

    fn fails(text: &str) -> UriError {
        text.parse::<Uri>().expect_err(text)
    }

    #[test]
    fn examples_of_rfc_5122_are_read() {
        assert_eq!(address("xmpp:node@example.com"), "node@example.com");
        assert_eq!(
            address("xmpp:example-node@example.com/some-resource"),
            "example-node@example.com/some-resource"
        );
        assert_eq!(address("xmpp:example.com"), "example.com");
        let guest = read("xmpp://guest@example.com");
        assert_eq!(guest.account.as_ref().map(|jid| jid.as_str()), Some("guest@example.com"));
        assert_eq!(guest.address, None);
        let support = read("xmpp://guest@example.com/support@example.com?message");
        assert_eq!(support.account, guest.account);
        assert_eq!(support.address.as_ref().map(Jid::as_str), Some("support@example.com"));
        let message = Action::Message { body: None, subject: None, thread: None };
        assert_eq!(support.action(), Some(message));
        let hello = read("xmpp:example-node@example.com?message;subject=Hello%20World");
        let message = Action::Message { body: None, subject: Some("Hello World"), thread: None };
        assert_eq!(hello.action(), Some(message));
        // §2.7.2: Jiří by his name, as IRI and as URI; and the resource of the escaped one.
        let jiri = "ji\u{159}i@\u{10d}echy.example/v Praze";
        assert_eq!(address("xmpp:ji%C5%99i@%C4%8Dechy.example/v%20Praze"), jiri);
        assert_eq!(address("xmpp:ji\u{159}i@\u{10d}echy.example/v%20Praze"), jiri);
        assert_eq!(address("xmpp:node@example.com/a%2Fb@c"), "node@example.com/a/b@c");
    }

    #[test]
    fn query_types_of_xep_0147_are_data() {
        let query = |text: &str| read(&format!("xmpp:romeo@montague.lit?{text}")).query.expect("a query");
        let message = query("message;subject=Test%20Message;body=Here%27s%20a%20test;thread=e0ff;from=a@b");
        let (body, subject, thread) = (Some("Here's a test"), Some("Test Message"), Some("e0ff"));
        assert_eq!(message.action(), Action::Message { body, subject, thread });
        assert_eq!(message.parameter("from"), Some("a@b"));
        assert_eq!(query("subscribe").action(), Action::Subscribe);
        assert_eq!(query("unsubscribe").action(), Action::Unsubscribe);
        assert_eq!(query("remove").action(), Action::Remove);
        let roster = query("roster;name=Romeo%20Montague;group=Friends;group=Verona");
        let groups = vec!["Friends", "Verona"];
        let named = Action::Roster { name: Some("Romeo Montague"), groups, token: None, registers: false };
        assert_eq!(roster.action(), named);
        let invites = query("roster;preauth=T;ibr=y");
        let invitation = Action::Roster { name: None, groups: Vec::new(), token: Some("T"), registers: true };
        assert_eq!(invites.action(), invitation);
        assert_eq!(query("register;preauth=T").action(), Action::Register { token: Some("T") });
        assert_eq!(query("join;password=cauldron").action(), Action::Join { password: Some("cauldron") });
        let command = query("command;node=stats;action");
        let parameters = [("node", "stats"), ("action", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(command, Query { name: "command".into(), parameters: parameters.into() });
        assert_eq!(command.action(), Action::Other(&command));
        assert_eq!(read("xmpp:romeo@montague.lit?").query, None);
        assert_eq!(read("xmpp:romeo@montague.lit?;").query, None);
        // `+` is no space, and only the first `=` ends the name.
        assert_eq!(query("message;body=1+1=2").parameter("body"), Some("1+1=2"));
    }

    #[test]
    fn what_is_written_is_ascii_and_reads_as_the_same() {
        for text in [
            "xmpp:node@example.com",
            "xmpp:NODE@Example.COM/Resource",
            "XMPP:ji\u{159}i@\u{10d}echy.example/v%20Praze?message;body=%C5%99%3B%3D%26%23#%23top",
            "xmpp://guest@example.com",
            "xmpp://guest@example.com/support@example.com/a/b?join;password=",
            "xmpp:xn--echy-fua.example?;a=b",
            "xmpp:nasty!%23$%25()*+,-.;=%3F%5B%5C%5D%5E_%60%7B%7C%7D~node@example.com",
            "xmpp:node@example.com/repulsive%20!%23%22$%25&'()*+,-.%2F:;%3C=%3E%3F%40%5B%5C%5D%5E_%60%7B%7C%7D~resource",
        ] {
            let uri = read(text);
            let written = uri.to_string();
            assert!(written.is_ascii() && !written.contains([' ', '"', '<']), "{written}");
            assert_eq!(read(&written), uri, "{written}");
        }
        assert_eq!(
            Uri::to(BareJid::new("juliet@capulet.lit").unwrap()).to_string(),
            "xmpp:juliet@capulet.lit"
        );
    }

    #[test]
    fn regex_and_link_traps() {
        for scheme in
            ["javascript:alert(1)", "file:///etc/passwd", "mailto:a@b", "xmpp", "", "://", " xmpp:a@b"]
        {
            assert_eq!(fails(scheme), UriError::Scheme, "{scheme}");
        }
        for nobody in ["xmpp:", "xmpp:?message;body=x", "xmpp:#x"] {
            assert_eq!(fails(nobody), UriError::Nobody, "{nobody}");
        }
        // An encoded separator is none: that would be another address than the one that is shown.
        for other in [
            "xmpp:admin%40evil.example@example.com",
            "xmpp:romeo@montague.lit%2Fx",
            "xmpp:romeo@evil.example%40montague.lit",
            "xmpp:@example.com",
            "xmpp:romeo@",
            "xmpp://",
            "xmpp:///a@b",
            "xmpp://guest@example.com/support@",
            "xmpp:juli%E2%80%8Bet@capulet.lit",
            "xmpp:juli%E2%80%AEet@capulet.lit",
            "xmpp:javascript%3Aalert(1)@",
        ] {
            assert_eq!(fails(other), UriError::Address, "{other}");
        }
        for percent in
            ["xmpp:a@b%", "xmpp:a@b%2", "xmpp:a@b%zz", "xmpp:a@b?x;y=%+1", "xmpp:a@b#%\u{e4}\u{e4}"]
        {
            assert_eq!(fails(percent), UriError::Percent, "{percent}");
        }
        for bytes in ["xmpp:%ff@b", "xmpp:a@b?message;body=%c0%80", "xmpp:a@b?message;body=%ed%a0%80"] {
            assert_eq!(fails(bytes), UriError::Utf8, "{bytes}");
        }
        for control in
            ["xmpp:a@b?message;body=%00", "xmpp:a@b c", "xmpp:a@b\n", "xmpp:a@b?message;body=%1b[2J"]
        {
            assert_eq!(fails(control), UriError::Character, "{control}");
        }
        assert_eq!(fails(&format!("xmpp:a@b?message;body={}", "x".repeat(MAX))), UriError::TooLong);
        // Line breaks belong into a text, and only there.
        assert_eq!(read("xmpp:a@b?message;body=1%0A2").query.unwrap().parameter("body"), Some("1\n2"));
    }
}
