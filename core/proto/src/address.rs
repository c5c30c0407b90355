//! Addresses that others claim (RFC 7622), read so that two that look alike are never taken for one.
//!
//! The `jid` crate prepares with stringprep, which maps zero-width characters, soft hyphens and variation selectors to
//! nothing: an address with one of them would come out as another's. RFC 7622 forbids them, and so do we; what is merely
//! written in another case, or with the dot of the root behind the domain (RFC 7622 §3.2), is normalised.

use jid::Jid;

/// Reads an address; `None` is nobody's.
pub fn parse(text: &str) -> Option<Jid> {
    if text.chars().any(is_invisible) {
        return None;
    }
    // jid 0.12.3 looks at the domain without its last dot and keeps the text with it, so that the parts are cut at wrong places.
    let bare = text.find('/').unwrap_or(text.len());
    let jid = match text[..bare].strip_suffix('.') {
        Some(dotless) if dotless.ends_with('.') => return None,
        Some(dotless) => Jid::new(&format!("{dotless}{}", &text[bare..])).ok()?,
        None => Jid::new(text).ok()?,
    };
    // Stringprep knows Unicode 3.2; what came later may become one thing, and read from our file another: somebody else's.
    let is_stable = jid.as_str().is_ascii() || Jid::new(jid.as_str()).as_ref() == Ok(&jid);
    is_stable.then_some(jid)
}

/// Whose a stanza is. Where the device's part cannot be prepared it is left out: RFC 7622 allows a device to be called 🐦, and
/// the tables of `jid` end with Unicode 3.2; what somebody wrote is not lost for that. Never to be compared with a bare address
/// that means the account itself.
pub fn sender(text: &str) -> Option<Jid> {
    parse(text).or_else(|| match text.split_once('/') {
        Some((account, device)) if !device.is_empty() => parse(account),
        _ => None,
    })
}

/// RFC 3454 table B.1, "commonly mapped to nothing", and the controls of writing direction, which are shown as nothing.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{1806}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_is_known_whatever_the_device_is_called() {
        for device in ["🐦", "Pidgin 👩🏽‍💻", "\u{e000}", "עברית abc", "a\u{7f}"] {
            let from = sender(&format!("Juliet@capulet.lit/{device}")).unwrap();
            assert_eq!(from.to_string(), "juliet@capulet.lit", "{device}");
        }
        assert_eq!(sender("juliet@capulet.lit/balcony").unwrap().to_string(), "juliet@capulet.lit/balcony");
        for nobody in
            ["", "@", "juliet@", "juli\u{200b}et@capulet.lit/x", "juliet@capulet.lit/", "🐦@capulet.lit/x"]
        {
            assert_eq!(sender(nobody), None, "{nobody}");
        }
    }

    mod hostile {
        use super::*;

        #[test]
        fn invisible_address_is_never_merged_with_the_one_it_looks_like() {
            assert_eq!(parse("juliet@capulet.lit").unwrap().to_string(), "juliet@capulet.lit");
            assert_eq!(parse("Juliet@Capulet.lit").unwrap().to_string(), "juliet@capulet.lit");
            for c in ['\u{200b}', '\u{ad}', '\u{202e}', '\u{feff}', '\u{fe0f}', '\u{2060}', '\u{34f}'] {
                assert_eq!(parse(&format!("juli{c}et@capulet.lit")), None, "{:x}", c as u32);
                assert_eq!(parse(&format!("juliet@capu{c}let.lit")), None, "{:x}", c as u32);
            }
            for dotted in
                ["juliet@capulet.lit./balcony", "juliet@capulet.lit.", "capulet.lit./x", "capulet.lit."]
            {
                assert_eq!(parse(dotted), parse(&dotted.replacen("lit.", "lit", 1)), "{dotted}");
            }
            assert_eq!(parse("juliet@capulet.lit./.x").unwrap().resource().unwrap().as_str(), ".x");
            assert_eq!(parse("juliet@capulet.lit.."), None);
            // U+03F9 becomes Σ, which becomes σ, whose owner is another.
            assert_eq!(parse("\u{3f9}@capulet.lit"), None);
            assert!(parse("\u{3c3}@capulet.lit").is_some());
            // Cyrillic е: another letter is another address, and stays one.
            assert_ne!(parse("juli\u{435}t@capulet.lit"), parse("juliet@capulet.lit"));
        }
    }
}
