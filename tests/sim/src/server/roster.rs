//! Contacts of an account with their versions (RFC 6121 §2): all who live here are each other's, or nobody is until a user says so.

use minidom::Element;

use super::{Account, Server, account_of, address, element};

impl Account {
    /// One of so many.
    pub(super) fn new(own: usize, accounts: usize, strangers: bool) -> Self {
        let others = (0..accounts).filter(|other| *other != own && !strangers);
        Self { contacts: others.map(|other| (other, String::new())).collect(), ..Self::default() }
    }
}

impl Server {
    /// The roster, unless that is known.
    pub(super) fn roster(&self, account: usize, known: Option<&str>) -> String {
        let Account { contacts, roster_version, .. } = &self.accounts[account];
        if known == Some(&roster_version.to_string()) {
            return String::new();
        }
        let items: String = contacts.iter().map(|(other, name)| self.item(*other, name)).collect();
        format!("<query xmlns='jabber:iq:roster' ver='{roster_version}'>{items}</query>")
    }

    /// Somebody is called otherwise.
    pub(super) fn change_contact(&mut self, account: usize, query: &Element) {
        let Some(item) = query.children().next() else { return };
        let Some(other) = item.attr("jid").and_then(account_of) else { return };
        let name = item.attr("name").unwrap_or_default().to_owned();
        let item = self.item(other, &name);
        let Account { contacts, roster_version, .. } = &mut self.accounts[account];
        contacts.insert(other, name);
        *roster_version += 1;
        let push = element(&format!("<query xmlns='jabber:iq:roster' ver='{roster_version}'>{item}</query>"));
        self.pushes_to(account, &push, |session| session.hears_of_contacts);
    }

    fn item(&self, other: usize, name: &str) -> String {
        let subscription = if self.manners.strangers { "none" } else { "both" };
        format!("<item jid='{}' name='{name}' subscription='{subscription}'/>", address(other))
    }
}
