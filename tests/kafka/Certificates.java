/*
 * Certificates for a broker with TLS, made by the JDK's keytool: two authorities, and what the first one has signed.
 *
 *   java --add-exports java.base/sun.security.tools.keytool=ALL-UNNAMED Certificates.java DIR
 *
 * ca.pem, foreign-ca.pem        the authorities
 * NAME.pem, NAME.key            chain and key of broker, expired-broker, client, expired-client
 * NAME.both.pem                 both in one file, as a Java broker takes them
 */

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

public class Certificates {
    private static final String PASSWORD = "not-a-secret";
    private final Path folder;
    private final String store;

    private Certificates(Path folder) {
        this.folder = folder;
        this.store = folder.resolve("all.p12").toString();
    }

    public static void main(String[] args) throws Exception {
        Certificates made = new Certificates(Path.of(args[0]));
        made.authority("ca");
        made.authority("foreign-ca");
        made.signed("broker", "-validity", "30");
        made.signed("client", "-validity", "30");
        made.signed("expired-broker", "-startdate", "-3d", "-validity", "1");
        made.signed("expired-client", "-startdate", "-3d", "-validity", "1");
        made.write();
    }

    private void authority(String name) throws Exception {
        pair(name, List.of("-ext", "bc:c", "-startdate", "-5d", "-validity", "40"));
    }

    private void signed(String name, String... when) throws Exception {
        List<String> more = new ArrayList<>(List.of("-signer", "ca", "-ext", "san=ip:127.0.0.1"));
        more.addAll(List.of(when));
        pair(name, more);
    }

    private void pair(String name, List<String> more) throws Exception {
        List<String> all = new ArrayList<>(List.of("-genkeypair", "-alias", name, "-dname", "CN=" + name, "-keyalg", "EC",
            "-groupname", "secp256r1", "-storetype", "PKCS12", "-keystore", store, "-storepass", PASSWORD));
        all.addAll(more);
        sun.security.tools.keytool.Main.main(all.toArray(new String[0]));
    }

    private void write() throws Exception {
        KeyStore keys = KeyStore.getInstance(Path.of(store).toFile(), PASSWORD.toCharArray());
        for (String name : List.of("ca", "foreign-ca")) {
            Files.writeString(folder.resolve(name + ".pem"), pem("CERTIFICATE", keys.getCertificate(name).getEncoded()));
        }
        for (String name : List.of("broker", "client", "expired-broker", "expired-client")) {
            StringBuilder chain = new StringBuilder();
            for (Certificate one : keys.getCertificateChain(name)) {
                chain.append(pem("CERTIFICATE", one.getEncoded()));
            }
            String key = pem("PRIVATE KEY", keys.getKey(name, PASSWORD.toCharArray()).getEncoded());
            Files.writeString(folder.resolve(name + ".pem"), chain);
            Files.writeString(folder.resolve(name + ".key"), key);
            Files.writeString(folder.resolve(name + ".both.pem"), key + chain);
        }
    }

    private static String pem(String what, byte[] bytes) {
        String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
        return "-----BEGIN " + what + "-----\n" + text + "\n-----END " + what + "-----\n";
    }
}
