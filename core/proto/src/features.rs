//! `<stream:features/>` (RFC 6120 §4.3.2) and what they offer.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::ns;

/// Names of one kind that an offer may hold, and how long each may be, in bytes: it is kept from login to login.
const MANY: usize = 64;
const LONG: usize = 256;

/// What the server offers at this point of the stream. Absent means not offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// RFC 6120 §5.
    pub starttls: bool,
    /// RFC 6120 §6.
    pub mechanisms: Vec<String>,
    /// XEP-0388.
    pub sasl2: Option<Sasl2>,
    /// XEP-0440; `None` where the server does not say.
    pub bindings: Option<Vec<String>>,
    /// RFC 6120 §7.
    pub bind: bool,
    /// XEP-0198.
    pub sm: bool,
    /// XEP-0352.
    pub csi: bool,
    /// RFC 6121 §2.6.
    pub roster_versioning: bool,
    /// RFC 6121 §3.4: it keeps an approval until somebody asks.
    #[serde(default)]
    pub pre_approval: bool,
    /// XEP-0478, in bytes.
    pub max_bytes: Option<u64>,
}

/// XEP-0388 and what may be done inside of its exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sasl2 {
    /// Mechanisms.
    pub mechanisms: Vec<String>,
    /// XEP-0198 §9: resume.
    pub sm: bool,
    /// XEP-0484: its mechanisms.
    pub fast: Vec<String>,
    /// XEP-0386: the namespaces that it takes inline.
    pub bind2: Option<Vec<String>>,
}

impl Features {
    /// Reads a `<stream:features/>`.
    pub fn read(element: &Element) -> Self {
        let mut features = Self::default();
        for child in element.children() {
            match child.name() {
                "starttls" if child.has_ns(ns::TLS) => features.starttls = true,
                "mechanisms" if child.has_ns(ns::SASL) => features.mechanisms = texts(child, "mechanism"),
                "authentication" if child.has_ns(ns::SASL2) => features.sasl2 = Some(Sasl2::read(child)),
                "sasl-channel-binding" if child.has_ns(ns::SASL_CB) => {
                    let types = child.children().filter(|c| c.name() == "channel-binding");
                    features.bindings =
                        Some(types.filter_map(|c| c.attr("type")).filter_map(kept).take(MANY).collect());
                }
                "bind" if child.has_ns(ns::BIND) => features.bind = true,
                "sm" if child.has_ns(ns::SM) => features.sm = true,
                "csi" if child.has_ns(ns::CSI) => features.csi = true,
                "ver" if child.has_ns(ns::ROSTER_VER) => features.roster_versioning = true,
                "sub" if child.has_ns(ns::PRE_APPROVAL) => features.pre_approval = true,
                "limits" if child.has_ns(ns::LIMITS) => {
                    // RFC 6120 §13.12: no server may take less than 10,000. One that says so would silence us.
                    features.max_bytes = child
                        .get_child("max-bytes", ns::LIMITS)
                        .and_then(|max| max.text().trim().parse().ok())
                        .map(|max: u64| max.max(10_000));
                }
                _ => {}
            }
        }
        features
    }
}

impl Sasl2 {
    fn read(element: &Element) -> Self {
        let mut sasl2 = Self { mechanisms: texts(element, "mechanism"), ..Self::default() };
        for child in element.get_child("inline", ns::SASL2).into_iter().flat_map(Element::children) {
            match child.name() {
                "sm" if child.has_ns(ns::SM) => sasl2.sm = true,
                "fast" if child.has_ns(ns::FAST) => sasl2.fast = texts(child, "mechanism"),
                "bind" if child.has_ns(ns::BIND2) => {
                    let inline = child.get_child("inline", ns::BIND2);
                    let features = inline.into_iter().flat_map(Element::children);
                    sasl2.bind2 =
                        Some(features.filter_map(|f| f.attr("var")).filter_map(kept).take(MANY).collect());
                }
                _ => {}
            }
        }
        sasl2
    }
}

fn texts(parent: &Element, name: &str) -> Vec<String> {
    parent
        .children()
        .filter(|child| child.name() == name)
        .filter_map(|child| kept(child.text().trim()))
        .take(MANY)
        .collect()
}

/// A name that is longer is none that we know.
fn kept(name: &str) -> Option<String> {
    (name.len() <= LONG).then(|| name.to_owned())
}
