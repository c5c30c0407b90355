// swift-tools-version: 6.0
// The Swift package as it is published: `xcframework.sh` puts it beside the library. Apps need neither Rust nor anything generated.
// Not tried: there is no Xcode where this was written.
import PackageDescription

let package = Package(
    name: "Whimbrel",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Whimbrel", targets: ["Whimbrel"])],
    targets: [
        // The library and its C header. Where it is fetched: url and checksum in the place of the path.
        .binaryTarget(name: "CWhimbrel", path: "CWhimbrel.xcframework"),
        // Generated: what it exports, as Swift. UniFFI's code is not written for language mode 6.
        .target(
            name: "WhimbrelFFI",
            dependencies: ["CWhimbrel"],
            swiftSettings: [.swiftLanguageMode(.v5)],
            // Trust and the cipher are the system's.
            linkerSettings: [.linkedFramework("Security"), .linkedFramework("CoreFoundation")]
        ),
        // What apps see. Nothing of the generated code shows through.
        .target(name: "Whimbrel", dependencies: ["WhimbrelFFI"]),
    ],
    swiftLanguageModes: [.v6]
)
