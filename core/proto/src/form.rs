//! Data forms (XEP-0004): what a service asks for, what is filled in, and what a result says.
//!
//! A [`Form`] is read, filled in field by field, and submitted. What a field does not take is refused where it is set, and what is
//! missing where it is submitted, so that a service never sees it. Pictures that a form brings along (XEP-0221) are not kept.
//!
//! Programs that fill in forms for each other, with one value a field, use [`submit`] and [`fields`].

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{address, ns, write::Tag};

/// A form: to be filled in, filled in, or a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// What it is for.
    pub kind: FormKind,
    /// Its title.
    pub title: Option<String>,
    /// What to do with it, for a person.
    pub instructions: Vec<String>,
    /// Its fields, in their order.
    pub fields: Vec<Field>,
    /// Of a result that is a table: its columns.
    pub columns: Vec<Field>,
    /// And its rows: fields, each with the name of its column.
    pub rows: Vec<Vec<Field>>,
}

/// What a form is for (XEP-0004 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// To be filled in.
    #[default]
    Form,
    /// Filled in.
    Submit,
    /// Not to be filled in any more.
    Cancel,
    /// What a service found or did.
    Result,
}

/// A field of a form (XEP-0004 §3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name, unique in the form; only a [`FieldKind::Fixed`] has none.
    pub name: String,
    /// What it takes.
    pub kind: FieldKind,
    /// What to call it, for a person.
    pub label: Option<String>,
    /// More about it, for a person.
    pub description: Option<String>,
    /// Without it the form is not complete.
    pub required: bool,
    /// What there is to choose from, for lists.
    pub options: Vec<Choice>,
    /// What is not among the options may be said, too (XEP-0122 §3.2.2).
    pub open: bool,
    /// What it says; before it is filled in, what it would say by itself.
    pub values: Vec<String>,
}

/// What a field takes (XEP-0004 §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Yes or no.
    Boolean,
    /// Nothing: it is text of the form.
    Fixed,
    /// Nothing: it goes back as it came, and is not shown.
    Hidden,
    /// Addresses, each once.
    JidMulti,
    /// An address.
    JidSingle,
    /// Any of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Lines of text.
    TextMulti,
    /// A line of text that is not to be seen, such as a password.
    TextPrivate,
    /// A line of text.
    #[default]
    TextSingle,
}

/// What one may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What to call it, for a person.
    pub label: Option<String>,
    /// What it is.
    pub value: String,
}

/// Why a form cannot be read, or not be filled in like that. Names are the form's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is no form.
    #[error("it is not a form")]
    NotAForm,
    /// There is none of this name.
    #[error("the form has no field \"{0}\"")]
    NoSuchField(String),
    /// Nobody is to fill it in.
    #[error("\"{0}\" is not to be filled in")]
    NotToBeFilled(String),
    /// It takes one value.
    #[error("\"{0}\" takes one value")]
    OneValue(String),
    /// It takes one line.
    #[error("\"{0}\" takes one line")]
    OneLine(String),
    /// It takes yes or no.
    #[error("\"{0}\" takes yes or no")]
    YesOrNo(String),
    /// It takes addresses, each once.
    #[error("\"{0}\" takes addresses, each once")]
    Addresses(String),
    /// It takes what is among its options.
    #[error("\"{0}\" takes what is among its options")]
    NotAnOption(String),
    /// Without it the form is not complete.
    #[error("\"{0}\" is missing")]
    Missing(String),
}

impl FieldKind {
    /// Whether it takes several values.
    pub fn is_multi(self) -> bool {
        matches!(self, Self::JidMulti | Self::ListMulti | Self::TextMulti)
    }

    fn of(name: &str) -> Self {
        match name {
            "boolean" => Self::Boolean,
            "fixed" => Self::Fixed,
            "hidden" => Self::Hidden,
            "jid-multi" => Self::JidMulti,
            "jid-single" => Self::JidSingle,
            "list-multi" => Self::ListMulti,
            "list-single" => Self::ListSingle,
            "text-multi" => Self::TextMulti,
            "text-private" => Self::TextPrivate,
            // What is not known is a line of text (XEP-0004 §3.3).
            _ => Self::TextSingle,
        }
    }
}

impl Form {
    /// Reads an `<x/>`.
    pub fn read(form: &Element) -> Option<Self> {
        if !form.is("x", ns::DATA_FORMS) {
            return None;
        }
        let kind = match form.attr("type") {
            Some("submit") => FormKind::Submit,
            Some("cancel") => FormKind::Cancel,
            Some("result") => FormKind::Result,
            _ => FormKind::Form,
        };
        let mut read = Self { kind, ..Self::default() };
        for child in form.children() {
            match child.name() {
                "title" => read.title = Some(child.text()),
                "instructions" => read.instructions.push(child.text()),
                "field" => read.fields.extend(field(child)),
                "reported" => read.columns.extend(child.children().filter_map(field)),
                "item" => read.rows.push(child.children().filter_map(field).collect()),
                _ => {}
            }
        }
        Some(read)
    }

    /// Reads the text of an `<x/>`.
    ///
    /// # Errors
    /// [`FormError::NotAForm`].
    pub fn parse(xml: &str) -> Result<Self, FormError> {
        let form = xml.parse().map_err(|_| FormError::NotAForm)?;
        Self::read(&form).ok_or(FormError::NotAForm)
    }

    /// What kind of form it is for programs. What people are shown says nothing of that (XEP-0068 §3.1).
    pub fn form_type(&self) -> Option<&str> {
        let field = self.field("FORM_TYPE")?;
        let counts = field.kind == FieldKind::Hidden || self.kind == FormKind::Submit;
        field.values.first().map(String::as_str).filter(|_| counts)
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// What the field of this name says first.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.field(name)?.values.first().map(String::as_str)
    }

    /// Fills in a field; without values it is empty.
    ///
    /// # Errors
    /// Where there is no such field, or it does not take this. It stays as it was.
    pub fn set<V: Into<String>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<(), FormError> {
        let field = self.fields.iter_mut().find(|field| field.name == name && !name.is_empty());
        let field = field.ok_or_else(|| FormError::NoSuchField(name.to_owned()))?;
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        field.values = field.takes(values)?;
        Ok(())
    }

    /// Says yes or no in a field.
    ///
    /// # Errors
    /// As [`Form::set`].
    pub fn set_flag(&mut self, name: &str, yes: bool) -> Result<(), FormError> {
        self.set(name, [if yes { "true" } else { "false" }])
    }

    /// The form as it is submitted (XEP-0004 §3.1): names and values.
    ///
    /// # Errors
    /// [`FormError::Missing`] where a field is required and says nothing.
    pub fn answer(&self) -> Result<Tag, FormError> {
        let mut form = Tag::with_ns("x", ns::DATA_FORMS).attr("type", "submit");
        for field in self.fields.iter().filter(|field| field.kind != FieldKind::Fixed) {
            if field.required && field.values.iter().all(String::is_empty) {
                return Err(FormError::Missing(field.name.clone()));
            }
            // That nothing of a list is chosen has to be said; a single one is left out.
            if field.values.is_empty() && !field.kind.is_multi() {
                continue;
            }
            let tag = Tag::new("field").attr("var", &field.name);
            let values = field.values.iter().map(|value| Tag::new("value").text(value));
            form = form.child(values.fold(tag, Tag::child));
        }
        Ok(form)
    }

    /// The same as text, for a payload that has a form in it.
    ///
    /// # Errors
    /// As [`Form::answer`].
    pub fn submit(&self) -> Result<String, FormError> {
        self.answer().map(Tag::finish)
    }
}

impl Field {
    /// What it is to say, if it takes that.
    fn takes(&self, values: Vec<String>) -> Result<Vec<String>, FormError> {
        use FieldKind as Kind;
        let refused = |error: fn(String) -> FormError| Err(error(self.name.clone()));
        if matches!(self.kind, Kind::Fixed | Kind::Hidden) {
            return refused(FormError::NotToBeFilled);
        }
        if values.len() > 1 && !self.kind.is_multi() {
            return refused(FormError::OneValue);
        }
        match self.kind {
            Kind::Boolean if values.iter().any(|value| flag(value).is_none()) => refused(FormError::YesOrNo),
            Kind::JidSingle | Kind::JidMulti => {
                let mut addresses = Vec::new();
                for value in values {
                    match address::parse(&value).map(|jid| jid.to_string()) {
                        Some(jid) if !addresses.contains(&jid) => addresses.push(jid),
                        _ => return refused(FormError::Addresses),
                    }
                }
                Ok(addresses)
            }
            Kind::ListSingle | Kind::ListMulti
                if !self.open
                    && values
                        .iter()
                        .any(|value| self.options.iter().all(|option| option.value != *value)) =>
            {
                refused(FormError::NotAnOption)
            }
            // Each line is a value (XEP-0004 §3.3).
            Kind::TextMulti => {
                Ok(values.iter().flat_map(|value| value.split('\n')).map(str::to_owned).collect())
            }
            Kind::TextSingle | Kind::TextPrivate
                if values.iter().any(|value| value.contains(['\n', '\r'])) =>
            {
                refused(FormError::OneLine)
            }
            _ => Ok(values),
        }
    }
}

/// What a boolean field says (XEP-0004 §3.3).
fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn field(field: &Element) -> Option<Field> {
    if field.name() != "field" {
        return None;
    }
    let mut read = Field {
        name: field.attr("var").unwrap_or_default().to_owned(),
        kind: FieldKind::of(field.attr("type").unwrap_or_default()),
        label: field.attr("label").map(str::to_owned),
        ..Field::default()
    };
    // A field without a name cannot be answered (XEP-0004 §3.2).
    if read.name.is_empty() {
        read.kind = FieldKind::Fixed;
    }
    for child in field.children() {
        match child.name() {
            "value" => read.values.push(child.text()),
            "option" => {
                let value = child.children().find(|child| child.name() == "value");
                let label = child.attr("label").map(str::to_owned);
                read.options.extend(value.map(|value| Choice { label, value: value.text() }));
            }
            "required" => read.required = true,
            "desc" => read.description = Some(child.text()),
            "validate" => read.open |= child.children().any(|child| child.name() == "open"),
            _ => {}
        }
    }
    Some(read)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "<x xmlns='jabber:x:data' type='form'><title>Bot</title><instructions>Fill in</instructions>
        <field type='hidden' var='FORM_TYPE'><value>jabber:bot</value></field>
        <field type='fixed'><value>Section</value></field>
        <field type='text-single' label='Name' var='name'><required/></field>
        <field type='text-multi' var='description'><value>old</value></field>
        <field type='boolean' var='public'><value>0</value></field>
        <field type='text-private' var='password'/>
        <field type='list-multi' var='features'><desc>What it does</desc><value>news</value>
          <option label='Contests'><value>contests</value></option><option label='News'><value>news</value></option></field>
        <field type='list-single' var='max'><option><value>20</value></option></field>
        <field type='list-single' var='colour'><validate xmlns='http://jabber.org/protocol/xdata-validate'><open/></validate>
          <option><value>red</value></option></field>
        <field type='jid-multi' var='invitees'/></x>";

    fn form() -> Form {
        Form::parse(FORM).unwrap()
    }

    #[test]
    fn a_form_is_read_with_all_that_it_asks_for() {
        let form = form();
        assert_eq!((form.kind, form.title.as_deref()), (FormKind::Form, Some("Bot")));
        assert_eq!(form.instructions, ["Fill in"]);
        assert_eq!(form.form_type(), Some("jabber:bot"));
        let features = form.field("features").unwrap();
        assert_eq!((features.kind, features.required), (FieldKind::ListMulti, false));
        assert_eq!(features.description.as_deref(), Some("What it does"));
        assert_eq!(features.values, ["news"]);
        assert_eq!(features.options[0], Choice { label: Some("Contests".into()), value: "contests".into() });
        assert!(form.field("name").unwrap().required);
    }

    #[test]
    fn what_was_filled_in_reads_back_and_nothing_else_is_submitted() {
        let mut form = form();
        form.set("name", ["Jeeves <1>"]).unwrap();
        form.set("description", ["one\ntwo"]).unwrap();
        form.set_flag("public", true).unwrap();
        form.set("features", Vec::<String>::new()).unwrap();
        form.set("colour", ["blue"]).unwrap();
        form.set("invitees", ["Juliet@Capulet.lit", "nurse@capulet.lit/x"]).unwrap();
        let answer = Form::parse(&form.submit().unwrap()).unwrap();
        assert_eq!(answer.kind, FormKind::Submit);
        let fields: Vec<_> = answer.fields.iter().map(|f| (f.name.as_str(), f.values.join("|"))).collect();
        let expected = [
            ("FORM_TYPE", "jabber:bot"),
            ("name", "Jeeves <1>"),
            ("description", "one|two"),
            ("public", "true"),
            ("features", ""),
            ("colour", "blue"),
            ("invitees", "juliet@capulet.lit|nurse@capulet.lit/x"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_a_field_does_not_take_is_refused_and_changes_nothing() {
        let mut form = form();
        let before = form.clone();
        let named = |name: &str| name.to_owned();
        let mut refuses = |name: &str, values: &[&str], error: FormError| {
            assert_eq!(form.set(name, values.iter().copied()), Err(error));
        };
        refuses("nobody", &["x"], FormError::NoSuchField(named("nobody")));
        refuses("", &["x"], FormError::NoSuchField(named("")));
        refuses("FORM_TYPE", &["x"], FormError::NotToBeFilled(named("FORM_TYPE")));
        refuses("name", &["a", "b"], FormError::OneValue(named("name")));
        refuses("name", &["a\nb"], FormError::OneLine(named("name")));
        refuses("public", &["yes"], FormError::YesOrNo(named("public")));
        refuses("features", &["news", "weather"], FormError::NotAnOption(named("features")));
        refuses("max", &["21"], FormError::NotAnOption(named("max")));
        refuses("invitees", &["@"], FormError::Addresses(named("invitees")));
        refuses("invitees", &["a@b.test", "A@b.test"], FormError::Addresses(named("invitees")));
        assert_eq!(form, before);
        assert_eq!(form.submit(), Err(FormError::Missing(named("name"))));
    }

    #[test]
    fn a_result_is_a_table() {
        let form = Form::parse(
            "<x xmlns='jabber:x:data' type='result'><reported><field var='name' label='Name'/><field var='url'/></reported>
             <item><field var='name'><value>Comune</value></field><field var='url'><value>http://a.test/</value></field></item>
             <item><field var='name'><value>Verona</value></field></item></x>",
        )
        .unwrap();
        assert_eq!(form.kind, FormKind::Result);
        assert_eq!(form.columns[0].label.as_deref(), Some("Name"));
        let names: Vec<_> = form.rows.iter().map(|row| row[0].values[0].as_str()).collect();
        assert_eq!(names, ["Comune", "Verona"]);
    }

    mod hostile {
        use super::*;

        #[test]
        fn huge_form() {
            // As many as a stanza that we read can have.
            let fields: String =
                (0..20_000).map(|n| format!("<field var='f{n}'><value>v</value></field>")).collect();
            let options: String =
                (0..20_000).map(|n| format!("<option><value>{n}</value></option>")).collect();
            let xml = format!(
                "<x xmlns='jabber:x:data' type='form'>{fields}<field type='list-single' var='l'>{options}</field></x>"
            );
            let mut form = Form::parse(&xml).unwrap();
            assert_eq!(form.fields.len(), 20_001);
            form.set("l", ["19999"]).unwrap();
            form.set("f19999", ["w"]).unwrap();
            assert!(form.submit().unwrap().contains("<field var='f19999'><value>w</value></field>"));
        }

        #[test]
        fn data_form_bomb() {
            // Pictures inside of a form are not decoded, and not even kept (XEP-0221).
            let picture = "A".repeat(500_000);
            let xml = format!(
                "<x xmlns='jabber:x:data' type='form'><field var='ocr' type='text-single'><media xmlns='urn:xmpp:media-element' width='99999' height='99999'>
                 <uri type='image/png'>data:image/png;base64,{picture}</uri></media><data xmlns='urn:xmpp:bob'>{picture}</data></field></x>"
            );
            let form = Form::parse(&xml).unwrap();
            assert!(format!("{form:?}").len() < 1_000);
            for nonsense in ["", "<x/>", "<x xmlns='jabber:client'/>", "<field xmlns='jabber:x:data'/>", "<x"]
            {
                assert_eq!(Form::parse(nonsense), Err(FormError::NotAForm), "{nonsense}");
            }
            // Fields without names, twice, of unknown types, and answers that ask: nothing panics, all can be submitted.
            let odd = "<x xmlns='jabber:x:data' type='?'><field/><field var='a' type='?'/><field var='a'/><field type='hidden'/><item/><reported/><field type='list-multi' var='b'><option/></field></x>";
            let mut odd = Form::parse(odd).unwrap();
            odd.set("a", ["x"]).unwrap();
            assert_eq!(odd.set("b", [""]), Err(FormError::NotAnOption("b".into())));
            assert_eq!(Form::parse(&odd.submit().unwrap()).unwrap().value("a"), Some("x"));
        }
    }
}
