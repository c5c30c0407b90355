//! Data forms (XEP-0004), as far as programs fill them in for each other: fields with one value each.

use minidom::Element;

use crate::{ns, write::Tag};

/// A form that was filled in, of this type (XEP-0068).
pub fn submit<N: AsRef<str>, V: AsRef<str>>(
    form_type: &str,
    fields: impl IntoIterator<Item = (N, V)>,
) -> Tag {
    let field =
        |var: &str, value: &str| Tag::new("field").attr("var", var).child(Tag::new("value").text(value));
    let form = Tag::with_ns("x", ns::DATA_FORMS)
        .attr("type", "submit")
        .child(field("FORM_TYPE", form_type).attr("type", "hidden"));
    fields.into_iter().fold(form, |form, (name, value)| form.child(field(name.as_ref(), value.as_ref())))
}

/// The fields of a form inside of this element, each with its first value.
pub fn fields(parent: &Element) -> impl Iterator<Item = (&str, String)> {
    let form = parent.get_child("x", ns::DATA_FORMS);
    form.into_iter().flat_map(Element::children).filter(|field| field.name() == "field").filter_map(|field| {
        let value = field.get_child("value", ns::DATA_FORMS).map(Element::text);
        Some((field.attr("var")?, value.unwrap_or_default()))
    })
}
