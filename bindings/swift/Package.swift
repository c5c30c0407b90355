// swift-tools-version: 6.0
// The Swift package, over libwhimbrel_ffi. `cargo xtask bindings swift` builds the library, writes Sources/, starts a server
// and calls `swift test`. The face comes with its own target, `Whimbrel`, which imports the generated one internally.
import PackageDescription

let package = Package(
    name: "Whimbrel",
    platforms: [.iOS(.v16), .macOS(.v13)],
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
        .testTarget(name: "WhimbrelTests", dependencies: ["WhimbrelFFI"]),
    ],
    swiftLanguageModes: [.v6]
)
