/*
 * Apache Kafka's own Java client as the other side of the tests: it writes what Highwater reads, and reads what
 * Highwater writes. One command a line on standard input, one line of answer each; rows in between.
 *
 *   create TOPIC PARTITIONS [KEY=VALUE ..]   a topic
 *   write TOPIC N                            N lines follow: PARTITION <tab> TIMESTAMP <tab> KEY <tab> VALUE; "-" is the
 *                                            partition of the default partitioner, the broker's time, no key, no value
 *   header NAME VALUE                        a header of all that is written from now on
 *   read TOPIC                               all rows up to the end, read_committed: PARTITION OFFSET TIMESTAMP KEY VALUE
 *   delete TOPIC PARTITION OFFSET            what lies before an offset is gone
 *   stand GROUP TOPIC PARTITION OFFSET       where a consumer group goes on
 *   where GROUP                              where a group stands: TOPIC PARTITION OFFSET
 *   open TRANSACTIONAL-ID TOPIC VALUE        writes a row in a transaction that stays open
 *   commit | abort                           ends it
 *   user NAME PASSWORD                       who may log in with SCRAM-SHA-512
 *   grant NAME OPERATION TYPE RESOURCE       what a user may do, e.g. alice READ TOPIC payments
 */

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

public class Client {
    private final String servers;
    private final BufferedReader in;
    private final PrintStream out;
    private final Map<String, String> headers = new HashMap<>();
    private KafkaProducer<String, String> open;

    private Client(String servers, BufferedReader in, PrintStream out) {
        this.servers = servers;
        this.in = in;
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(new java.io.BufferedOutputStream(System.out, 1 << 16), false, "UTF-8");
        Client client = new Client(args[0], in, out);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                out.println("done " + client.run(line.split(" ")));
            } catch (Exception e) {
                out.println("failed " + e.toString().replace('\n', ' '));
            }
            out.flush();
        }
        System.exit(0);
    }

    private String run(String[] words) throws Exception {
        switch (words[0]) {
            case "create": return create(words);
            case "write": return write(words[1], Integer.parseInt(words[2]));
            case "header": headers.put(words[1], words[2]); return "";
            case "read": return read(words[1]);
            case "delete": return delete(words[1], Integer.parseInt(words[2]), Long.parseLong(words[3]));
            case "stand": return stand(words[1], words[2], Integer.parseInt(words[3]), Long.parseLong(words[4]));
            case "where": return where(words[1]);
            case "open": return open(words[1], words[2], words[3]);
            case "commit": open.commitTransaction(); open.close(); return "";
            case "abort": open.abortTransaction(); open.close(); return "";
            case "user": return user(words[1], words[2]);
            case "grant": return grant(words[1], words[2], words[3], words[4]);
            default: throw new IllegalArgumentException("unknown: " + words[0]);
        }
    }

    private Map<String, Object> config() {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", servers);
        config.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        config.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        config.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        config.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return config;
    }

    private String create(String[] words) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (int i = 3; i < words.length; i++) {
            settings.put(words[i].split("=")[0], words[i].split("=")[1]);
        }
        try (Admin admin = Admin.create(config())) {
            NewTopic topic = new NewTopic(words[1], Integer.parseInt(words[2]), (short) 1).configs(settings);
            admin.createTopics(List.of(topic)).all().get();
        }
        return "";
    }

    private static String given(String field) {
        return field.equals("-") ? null : field;
    }

    private String write(String topic, int rows) throws Exception {
        Map<String, Object> config = config();
        config.put("linger.ms", "20");
        config.put("batch.size", "262144");
        config.put("compression.type", "lz4");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            for (int i = 0; i < rows; i++) {
                String[] f = in.readLine().split("\t", 4);
                Integer partition = given(f[0]) == null ? null : Integer.valueOf(f[0]);
                Long time = given(f[1]) == null ? null : Long.valueOf(f[1]);
                ProducerRecord<String, String> row = new ProducerRecord<>(topic, partition, time, given(f[2]), given(f[3]));
                headers.forEach((name, value) -> row.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
                sent.add(producer.send(row));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
        return "" + rows;
    }

    private String read(String topic) throws Exception {
        Map<String, Object> config = config();
        config.put("isolation.level", "read_committed");
        config.put("auto.offset.reset", "none");
        config.put("enable.auto.commit", "false");
        config.put("group.id", "reader");
        long rows = 0;
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            List<TopicPartition> all = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(p -> all.add(new TopicPartition(topic, p.partition())));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> end = consumer.endOffsets(all);
            while (end.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
                    if (r.offset() < end.get(new TopicPartition(topic, r.partition()))) {
                        String key = r.key() == null ? "-" : r.key();
                        String value = r.value() == null ? "-" : r.value();
                        out.print(r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t" + key + "\t" + value);
                        out.print('\n');
                        rows++;
                    }
                }
            }
        }
        return "" + rows;
    }

    private String delete(String topic, int partition, long offset) throws Exception {
        try (Admin admin = Admin.create(config())) {
            TopicPartition place = new TopicPartition(topic, partition);
            admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).all().get();
        }
        return "";
    }

    private String user(String name, String password) throws Exception {
        try (Admin admin = Admin.create(config())) {
            ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(name, info, password))).all().get();
        }
        return "";
    }

    private String grant(String name, String operation, String type, String resource) throws Exception {
        try (Admin admin = Admin.create(config())) {
            ResourcePattern on = new ResourcePattern(ResourceType.valueOf(type), resource, PatternType.LITERAL);
            AclOperation may = AclOperation.valueOf(operation);
            AccessControlEntry entry = new AccessControlEntry("User:" + name, "*", may, AclPermissionType.ALLOW);
            admin.createAcls(List.of(new AclBinding(on, entry))).all().get();
        }
        return "";
    }

    private String stand(String group, String topic, int partition, long offset) throws Exception {
        try (Admin admin = Admin.create(config())) {
            TopicPartition place = new TopicPartition(topic, partition);
            admin.alterConsumerGroupOffsets(group, Map.of(place, new OffsetAndMetadata(offset))).all().get();
        }
        return "";
    }

    private String where(String group) throws Exception {
        try (Admin admin = Admin.create(config())) {
            Map<TopicPartition, OffsetAndMetadata> found =
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            found.forEach((place, at) -> out.print(place.topic() + "\t" + place.partition() + "\t" + at.offset() + "\n"));
        }
        return "";
    }

    private String open(String id, String topic, String value) throws Exception {
        Map<String, Object> config = config();
        config.put("transactional.id", id);
        open = new KafkaProducer<>(config);
        open.initTransactions();
        open.beginTransaction();
        open.send(new ProducerRecord<>(topic, value)).get();
        return "";
    }
}
