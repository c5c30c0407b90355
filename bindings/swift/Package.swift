// swift-tools-version: 6.0
// The Swift package, over libwhimbrel_ffi. `cargo xtask bindings swift` builds the library, generates what is not committed, starts
// a server and calls `swift test`.
import PackageDescription

let package = Package(
    name: "Whimbrel",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Whimbrel", targets: ["Whimbrel"])],
    targets: [
        // Generated: the C header of the library.
        .systemLibrary(name: "CWhimbrel"),
        // Generated: what it exports, as Swift. UniFFI's code is not written for language mode 6.
        .target(
            name: "WhimbrelFFI",
            dependencies: ["CWhimbrel"],
            swiftSettings: [.swiftLanguageMode(.v5)],
            linkerSettings: [.linkedLibrary("whimbrel_ffi")]
        ),
        // What apps see. Nothing of the generated code shows through.
        .target(name: "Whimbrel", dependencies: ["WhimbrelFFI"]),
        // For the tests: another process.
        .executableTarget(name: "SecondProcess", dependencies: ["Whimbrel"], path: "Tests/SecondProcess"),
        .testTarget(name: "WhimbrelTests", dependencies: ["Whimbrel", "WhimbrelFFI", "SecondProcess"]),
    ],
    swiftLanguageModes: [.v6]
)
