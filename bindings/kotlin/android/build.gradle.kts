// im.whimbrel:whimbrel-android, an AAR. NOT RUN HERE: where this was written there is no Gradle, no Android SDK and no NDK.
// `cargo xtask package` puts the same AAR together from what Maven has compiled, and checks its layout; this is for who has them:
//
//   cargo xtask package && gradle publishReleasePublicationToPackagesRepository
//
// needs cargo-ndk, and the targets aarch64-linux-android, armv7-linux-androideabi and x86_64-linux-android.
plugins {
    id("com.android.library") version "8.13.0"
    id("org.jetbrains.kotlin.android") version "2.4.21"
    `maven-publish`
}

group = "im.whimbrel"
version = "0.1.0"

val nativeLibraries = layout.buildDirectory.dir("native")

val buildNative by tasks.registering(Exec::class) {
    workingDir = file("../../..")
    commandLine(
        "cargo", "ndk", "--platform", "26", "-t", "arm64-v8a", "-t", "armeabi-v7a", "-t", "x86_64",
        "-o", nativeLibraries.get().asFile.path, "build", "--profile", "phone", "-p", "whimbrel-ffi",
    )
}

android {
    namespace = "im.whimbrel"
    compileSdk = 36
    defaultConfig {
        minSdk = 26
        consumerProguardFiles("../ffi/src/main/resources/META-INF/proguard/whimbrel-ffi.pro")
    }
    sourceSets.named("main") {
        manifest.srcFile("AndroidManifest.xml")
        kotlin.srcDir("../src/main/kotlin")
        jniLibs.srcDir(nativeLibraries)
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    publishing {
        singleVariant("release") { withSourcesJar() }
    }
}

kotlin {
    jvmToolchain(17)
    explicitApi()
}

tasks.named("preBuild") { dependsOn(buildNative) }

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.11.0")
    // What is generated is nobody's API. On Android JNA is the one with its own native half.
    implementation("im.whimbrel:whimbrel-ffi:$version") { exclude(group = "net.java.dev.jna") }
    implementation("net.java.dev.jna:jna:5.19.1@aar")
}

publishing {
    repositories {
        maven {
            name = "packages"
            url = uri("../../../target/packages/maven")
        }
    }
    publications {
        register<MavenPublication>("release") {
            artifactId = "whimbrel-android"
            afterEvaluate { from(components["release"]) }
            pom {
                name = "Whimbrel for Android"
                description = "XMPP conversations that survive bad links: coroutines and flows over a core in Rust."
                url = "https://whimbrel.im"
                licenses {
                    license {
                        name = "Apache-2.0"
                        url = "https://www.apache.org/licenses/LICENSE-2.0"
                    }
                }
                developers { developer { name = "The Whimbrel developers" } }
                scm { url = "https://whimbrel.im" }
            }
        }
    }
}
