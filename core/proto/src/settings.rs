//! The settings of a conversation, as one's devices tell each other.
//!
//! An item of a private node of one's own (XEP-0223), named after the contact. Standards put settings into the bookmark of a room
//! (XEP-0469, XEP-0492), and a person has no bookmark: so their elements stand in one of ours.
//!
//! ```xml
//! <settings xmlns='urn:whimbrel:settings:0' at='2026-11-26T19:41:03.250Z'>
//!   <pinned xmlns='urn:xmpp:bookmarks-pinning:0'/>
//!   <notify xmlns='urn:xmpp:notification-settings:1'><on-mention/></notify>
//!   <muted until='2026-11-26T20:00:00Z'/>     without `until`: for ever
//!   <archived/>
//! </settings>
//! ```

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{ns, stamp, write::Tag};

/// What was set. Nothing: as it is without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// It stands above those that are not.
    pub pinned: bool,
    /// Of what to be notified.
    pub notify: Notify,
    /// Until when nothing in it is notified of.
    pub muted: Option<Mute>,
    /// It stands apart.
    pub archived: bool,
    /// When it was set, ms UTC, by the clock of the device; later than whatever that device knew. `None`: nobody says.
    pub at: Option<i64>,
}

/// Until when a conversation is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mute {
    /// Until this time, ms UTC.
    Until(i64),
    /// Until it is said otherwise.
    ForEver,
}

/// Of what in a conversation to be notified (XEP-0492).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Of every message.
    #[default]
    Always,
    /// Of those that mention us, by address or by name, or answer us (XEP-0372, XEP-0461).
    OnMention,
    /// Of none.
    Never,
}

impl Settings {
    /// Reads an item's payload, if it is one of these. What cannot be read is not set.
    pub fn read(element: &Element) -> Option<Self> {
        if !element.is("settings", ns::SETTINGS) {
            return None;
        }
        let muted = element.get_child("muted", ns::SETTINGS).and_then(|muted| match muted.attr("until") {
            Some(until) => stamp::parse(until).map(Mute::Until),
            None => Some(Mute::ForEver),
        });
        Some(Self {
            pinned: element.has_child("pinned", ns::PINNING),
            notify: element.get_child("notify", ns::NOTIFICATIONS).and_then(notify).unwrap_or_default(),
            muted,
            archived: element.has_child("archived", ns::SETTINGS),
            at: element.attr("at").and_then(stamp::parse),
        })
    }

    /// Writes an item's payload.
    pub fn write(&self) -> Tag {
        let notify = match self.notify {
            Notify::Always => "always",
            Notify::OnMention => "on-mention",
            Notify::Never => "never",
        };
        let muted = self.muted.map(|muted| match muted {
            Mute::Until(at) => Tag::new("muted").attr("until", stamp::format(at)),
            Mute::ForEver => Tag::new("muted"),
        });
        Tag::with_ns("settings", ns::SETTINGS)
            .attr_opt("at", self.at.map(stamp::format))
            .child_opt(self.pinned.then(|| Tag::with_ns("pinned", ns::PINNING)))
            .child(Tag::with_ns("notify", ns::NOTIFICATIONS).child(Tag::new(notify)))
            .child_opt(muted)
            .child_opt(self.archived.then(|| Tag::new("archived")))
    }
}

/// XEP-0492 §3: of several, the one that is most about software like ours counts.
fn notify(element: &Element) -> Option<Notify> {
    let settings = element.children().filter_map(|child| {
        let setting = match child.name() {
            "always" => Notify::Always,
            "on-mention" => Notify::OnMention,
            "never" => Notify::Never,
            _ => return None,
        };
        let closeness = match (child.attr("identity-category"), child.attr("identity-type")) {
            (Some("client"), Some("phone")) => 2,
            (Some("client"), None) => 1,
            (None, None) => 0,
            _ => return None,
        };
        Some((closeness, setting))
    });
    settings.max_by_key(|(closeness, _)| *closeness).map(|(_, setting)| setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Option<Settings> {
        Settings::read(&xml.parse().unwrap())
    }

    fn notified(settings: &str) -> Notify {
        let xml = format!(
            "<settings xmlns='urn:whimbrel:settings:0'><notify xmlns='urn:xmpp:notification-settings:1'>{settings}</notify></settings>"
        );
        read(&xml).unwrap().notify
    }

    #[test]
    fn what_is_written_is_read_again() {
        for muted in [None, Some(Mute::ForEver), Some(Mute::Until(1_795_000_000_000))] {
            for notify in [Notify::Always, Notify::OnMention, Notify::Never] {
                let at = muted.map(|_| 1_795_000_000_001);
                let settings =
                    Settings { pinned: muted.is_some(), notify, muted, archived: muted.is_none(), at };
                assert_eq!(read(&settings.write().finish()), Some(settings));
            }
        }
    }

    #[test]
    fn setting_that_is_most_about_phones_counts() {
        let phone = "identity-category='client' identity-type='phone'";
        assert_eq!(notified(&format!("<never/><on-mention {phone}/>")), Notify::OnMention);
        assert_eq!(notified("<on-mention identity-category='client'/><never/>"), Notify::OnMention);
        assert_eq!(notified("<never/><always identity-category='gateway'/>"), Notify::Never);
        assert_eq!(notified("<never identity-category='client' identity-type='pc'/>"), Notify::Always);
        assert_eq!(notified("<sometimes/>"), Notify::Always);
    }

    #[test]
    fn what_cannot_be_read_is_not_set() {
        assert_eq!(read("<settings xmlns='urn:x'><pinned/></settings>"), None);
        let nothing = read(
            "<settings xmlns='urn:whimbrel:settings:0' at='then'><pinned/><archived xmlns='urn:x'/><muted until='soon'/></settings>",
        );
        assert_eq!(nothing, Some(Settings::default()));
    }
}
