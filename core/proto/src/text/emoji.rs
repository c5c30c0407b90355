//! Whether a text is a few emoji and nothing else: sequences as in UTS #51 §1.4.9, ED-17a.

use std::iter::Peekable;

use unicode_properties::emoji::{EmojiStatus, UnicodeEmoji as _};

/// So many are shown large; more of them are a text.
const MOST: usize = 10;
/// Longest of them, in bytes: a family with everybody's skin has 41, a flag of a region has 28.
const LONGEST: usize = 64;

pub(super) fn is_only_emoji(text: &str) -> bool {
    // Most texts end at the first letter, and none is read to the end that is long.
    if text.len() > MOST * LONGEST {
        return false;
    }
    let mut chars = text.chars().peekable();
    let mut count = 0;
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return (1..=MOST).contains(&count);
        }
        if !takes_one(&mut chars) {
            return false;
        }
        count += 1;
    }
}

/// Takes one emoji, however many characters it is made of.
fn takes_one(chars: &mut Peekable<impl Iterator<Item = char>>) -> bool {
    loop {
        let Some(first) = chars.next() else { return false };
        let is_flag = |c: &char| matches!(c, '\u{1F1E6}'..='\u{1F1FF}');
        if is_flag(&first) {
            if chars.next_if(is_flag).is_none() {
                return false;
            }
        } else if first.is_ascii() {
            // A keycap. A digit is an emoji by its properties, too, but nobody's.
            let is_key = matches!(first, '0'..='9' | '#' | '*');
            let _ = chars.next_if_eq(&'\u{FE0F}');
            return is_key && chars.next_if_eq(&'\u{20E3}').is_some();
        } else {
            let looks = match first.emoji_status() {
                EmojiStatus::NonEmoji | EmojiStatus::NonEmojiButEmojiComponent => return false,
                EmojiStatus::EmojiModifierBase
                | EmojiStatus::EmojiOther
                | EmojiStatus::EmojiOtherAndEmojiComponent => false,
                _ => true,
            };
            let skin = chars.next_if(|c| matches!(c, '\u{1F3FB}'..='\u{1F3FF}')).is_some();
            let variant = !skin && chars.next_if_eq(&'\u{FE0F}').is_some();
            // Without either it is shown as text: a sign such as ©, an arrow.
            let joined = chars.peek() == Some(&'\u{200D}');
            if !(looks || skin || variant || joined) {
                return false;
            }
            while chars.next_if(|c| matches!(c, '\u{E0020}'..='\u{E007F}')).is_some() {}
        }
        if chars.next_if_eq(&'\u{200D}').is_none() {
            return true;
        }
    }
}
