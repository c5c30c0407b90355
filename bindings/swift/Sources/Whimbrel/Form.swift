import Foundation
internal import WhimbrelFFI

/// A form (XEP-0004): to be filled in, filled in, or a result.
public struct Form: Sendable, Equatable {
    /// What it is for.
    public let kind: Kind
    /// Its title.
    public let title: String?
    /// What to do with it, for a person.
    public let instructions: [String]
    /// Its fields, in their order.
    public let fields: [Field]
    /// Of a result that is a table: its columns.
    public let columns: [Field]
    /// And its rows: fields, each with the name of its column.
    public let rows: [[Field]]

    /// What a form is for (XEP-0004 §3.1).
    public enum Kind: Sendable, Equatable {
        /// To be filled in.
        case form
        /// Filled in.
        case submit
        /// Not to be filled in any more.
        case cancel
        /// What a service found or did.
        case result
    }

    /// A field of a form (XEP-0004 §3.2).
    public struct Field: Sendable, Equatable {
        /// Its name, unique in the form; only one that is fixed has none.
        public let name: String
        /// What it takes.
        public let kind: Kind
        /// What to call it, for a person.
        public let label: String?
        /// More about it, for a person.
        public let description: String?
        /// Without it the form is not complete.
        public let isRequired: Bool
        /// What there is to choose from, for lists.
        public let options: [Choice]
        /// What is not among the options may be said, too (XEP-0122 §3.2.2).
        public let isOpen: Bool
        /// What it says; before it is filled in, what it would say by itself.
        public let values: [String]

        /// What a field takes (XEP-0004 §3.3).
        public enum Kind: Sendable, Equatable {
            /// Yes or no: `true`, `false`.
            case boolean
            /// Nothing: it is text of the form.
            case fixed
            /// Nothing: it goes back as it came, and is not shown.
            case hidden
            /// Addresses, each once.
            case jidMulti
            /// An address.
            case jidSingle
            /// Any of the options.
            case listMulti
            /// One of the options.
            case listSingle
            /// Lines of text.
            case textMulti
            /// A line of text that is not to be seen, such as a password.
            case textPrivate
            /// A line of text.
            case textSingle
        }
    }

    /// What one may choose.
    public struct Choice: Sendable, Equatable {
        /// What to call it, for a person.
        public let label: String?
        /// What it is.
        public let value: String
    }

    /// Reads the text of an `<x/>` in `jabber:x:data`.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)``.
    public init(xml: String) throws {
        self.init(try immediately { try readForm(xml: xml) })
    }

    /// This form with these values in these fields, by their names.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where there is no such field, or it does not take that.
    public func filled(_ values: [String: [String]]) throws -> Form {
        Form(try immediately { try fillForm(form: generated, values: values) })
    }

    /// The form as it is submitted, as text, for a payload that has one in it.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where a field is required and says nothing.
    public func submitted() throws -> String {
        try immediately { try submitForm(form: generated) }
    }

    /// The field of this name, if there is one.
    public subscript(name: String) -> Field? { fields.first { $0.name == name } }

    init(_ form: WhimbrelFFI.Form) {
        kind =
            switch form.kind {
            case .form: .form
            case .submit: .submit
            case .cancel: .cancel
            case .result: .result
            }
        title = form.title
        instructions = form.instructions
        fields = form.fields.map(Field.init)
        columns = form.columns.map(Field.init)
        rows = form.rows.map { $0.map(Field.init) }
    }

    var generated: WhimbrelFFI.Form {
        let kind: WhimbrelFFI.FormKind =
            switch kind {
            case .form: .form
            case .submit: .submit
            case .cancel: .cancel
            case .result: .result
            }
        return WhimbrelFFI.Form(
            kind: kind, title: title, instructions: instructions, fields: fields.map(\.generated),
            columns: columns.map(\.generated), rows: rows.map { $0.map(\.generated) })
    }
}

extension Form.Field {
    init(_ field: WhimbrelFFI.FormField) {
        name = field.name
        kind =
            switch field.kind {
            case .boolean: .boolean
            case .fixed: .fixed
            case .hidden: .hidden
            case .jidMulti: .jidMulti
            case .jidSingle: .jidSingle
            case .listMulti: .listMulti
            case .listSingle: .listSingle
            case .textMulti: .textMulti
            case .textPrivate: .textPrivate
            case .textSingle: .textSingle
            }
        label = field.label
        description = field.description
        isRequired = field.required
        options = field.options.map { Form.Choice(label: $0.label, value: $0.value) }
        isOpen = field.open
        values = field.values
    }

    var generated: WhimbrelFFI.FormField {
        let kind: WhimbrelFFI.FieldKind =
            switch kind {
            case .boolean: .boolean
            case .fixed: .fixed
            case .hidden: .hidden
            case .jidMulti: .jidMulti
            case .jidSingle: .jidSingle
            case .listMulti: .listMulti
            case .listSingle: .listSingle
            case .textMulti: .textMulti
            case .textPrivate: .textPrivate
            case .textSingle: .textSingle
            }
        return WhimbrelFFI.FormField(
            name: name, kind: kind, label: label, description: description, required: isRequired,
            options: options.map { WhimbrelFFI.Choice(label: $0.label, value: $0.value) }, open: isOpen, values: values)
    }
}
