//! Cards, and how they become the core's and back.

use whimbrel::card;

/// What somebody says of themselves at length (XEP-0292).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Card {
    /// The whole name, as it is shown.
    #[uniffi(default = None)]
    pub full_name: Option<String>,
    /// Its parts.
    pub name: PersonName,
    /// What they are called besides.
    #[uniffi(default = [])]
    pub nicknames: Vec<String>,
    /// As it is written: of a date of RFC 6350 §4.3.1, parts may be missing (`--08-06`).
    #[uniffi(default = None)]
    pub birthday: Option<String>,
    /// Where they belong to.
    #[uniffi(default = [])]
    pub organisations: Vec<Organisation>,
    /// What they are there.
    #[uniffi(default = [])]
    pub titles: Vec<String>,
    /// What they do there.
    #[uniffi(default = [])]
    pub roles: Vec<String>,
    /// E-mail addresses.
    #[uniffi(default = [])]
    pub emails: Vec<CardLine>,
    /// Telephone numbers, without `tel:`.
    #[uniffi(default = [])]
    pub telephones: Vec<CardLine>,
    /// Postal addresses.
    #[uniffi(default = [])]
    pub addresses: Vec<PostalAddress>,
    /// Web sites. Nobody has looked what they are.
    #[uniffi(default = [])]
    pub urls: Vec<CardLine>,
    /// Whatever else they say.
    #[uniffi(default = None)]
    pub note: Option<String>,
}

/// The parts of a name.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PersonName {
    /// Family name.
    #[uniffi(default = None)]
    pub family: Option<String>,
    /// Given name.
    #[uniffi(default = None)]
    pub given: Option<String>,
    /// Others between these.
    #[uniffi(default = None)]
    pub additional: Option<String>,
    /// Before all: `Dr.`
    #[uniffi(default = None)]
    pub prefix: Option<String>,
    /// Behind all: `Jr.`
    #[uniffi(default = None)]
    pub suffix: Option<String>,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Organisation {
    /// Its name.
    pub name: String,
    /// Which part of it, the larger ones first.
    #[uniffi(default = [])]
    pub units: Vec<String>,
}

/// One of several ways to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct CardLine {
    /// The address, number or URL.
    pub value: String,
    /// What it is: `home`, `work`, `cell`, `fax` and the like (RFC 6350 §5.6), in small letters.
    #[uniffi(default = [])]
    pub kinds: Vec<String>,
    /// Better than the others.
    #[uniffi(default = false)]
    pub preferred: bool,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PostalAddress {
    /// As in a `CardLine`.
    #[uniffi(default = [])]
    pub kinds: Vec<String>,
    /// As in a `CardLine`.
    #[uniffi(default = false)]
    pub preferred: bool,
    /// Post office box.
    #[uniffi(default = None)]
    pub post_box: Option<String>,
    /// Flat, floor, suite.
    #[uniffi(default = None)]
    pub extended: Option<String>,
    /// Street and number.
    #[uniffi(default = None)]
    pub street: Option<String>,
    /// Town.
    #[uniffi(default = None)]
    pub locality: Option<String>,
    /// State, province.
    #[uniffi(default = None)]
    pub region: Option<String>,
    /// Postal code.
    #[uniffi(default = None)]
    pub postcode: Option<String>,
    /// Country.
    #[uniffi(default = None)]
    pub country: Option<String>,
}

/// A card as it was.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct KnownCard {
    /// The card.
    pub card: Card,
    /// When it was read, or set, ms UTC.
    pub read_at: i64,
}

/// Who may read what we say of ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Audience {
    /// Whoever sees our presence.
    Contacts,
    /// Everybody who knows our address.
    Everybody,
}

/// Makes each of two records from the other, field by field. One that has another field does not compile.
macro_rules! mirror {
    ($here:ident, $there:path { $($field:ident),* }, $($all:ident),*) => {
        mirror!($here => $there { $($field),* }, $($all),*);
        mirror!($there => $here { $($field),* }, $($all),*);
    };
    ($from:path => $to:path { $($field:ident),* }, $($all:ident),*) => {
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                let $from { $($field),*, $($all),* } = from;
                $(let $all = $all.into_iter().map(Into::into).collect();)*
                Self { $($field: $field.into()),*, $($all),* }
            }
        }
    };
}

mirror!(PersonName, card::Name { family, given, additional, prefix, suffix },);
mirror!(Organisation, card::Organisation { name }, units);
mirror!(CardLine, card::Line { value, preferred }, kinds);
mirror!(
    PostalAddress,
    card::PostalAddress { preferred, post_box, extended, street, locality, region, postcode, country },
    kinds
);
mirror!(
    Card,
    card::Card { full_name, name, birthday, note },
    nicknames,
    organisations,
    titles,
    roles,
    emails,
    telephones,
    addresses,
    urls
);

impl From<whimbrel::KnownCard> for KnownCard {
    fn from(whimbrel::KnownCard { card, read_at }: whimbrel::KnownCard) -> Self {
        Self { card: card.into(), read_at }
    }
}

impl From<Audience> for whimbrel::Audience {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::Contacts => Self::Contacts,
            Audience::Everybody => Self::Everybody,
        }
    }
}
