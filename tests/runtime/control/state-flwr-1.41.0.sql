BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('d90a2f91f23c');
CREATE TABLE "automation" (
	automation_id INTEGER NOT NULL, 
	federation_id VARCHAR NOT NULL, 
	flwr_aid VARCHAR NOT NULL, 
	series_id BIGINT NOT NULL, 
	status VARCHAR NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	next_run_at TIMESTAMP NOT NULL, 
	fixed_interval BIGINT, 
	remaining_runs INTEGER, 
	stopped_at TIMESTAMP, 
	start_run_request BLOB, 
	PRIMARY KEY (automation_id)
);
CREATE TABLE compacted_contexts (
	id INTEGER NOT NULL, 
	series_id BIGINT NOT NULL, 
	through_event_id BIGINT NOT NULL, 
	text TEXT NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (series_id, through_event_id)
);
CREATE TABLE "connector" (
	connector_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	federation_id VARCHAR NOT NULL, 
	connector_ref VARCHAR NOT NULL, 
	credentials_json VARCHAR NOT NULL, 
	config_json VARCHAR NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	deleted_at TIMESTAMP, 
	created_by VARCHAR NOT NULL, 
	deleted_by VARCHAR
);
CREATE TABLE "connector_oauth_session" (
	oauth_session_id VARCHAR NOT NULL, 
	flwr_aid VARCHAR NOT NULL, 
	connector_ref VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	redirect_uri VARCHAR NOT NULL, 
	pkce_verifier VARCHAR, 
	created_at TIMESTAMP NOT NULL, 
	expires_at TIMESTAMP NOT NULL, 
	completed_at TIMESTAMP, 
	federation_id VARCHAR NOT NULL, 
	PRIMARY KEY (oauth_session_id)
);
CREATE TABLE fab (
	fab_hash VARCHAR NOT NULL, 
	content BLOB NOT NULL, 
	verifications VARCHAR NOT NULL, 
	PRIMARY KEY (fab_hash)
);
CREATE TABLE "federation_app" (
	federation_id VARCHAR NOT NULL, 
	app_id VARCHAR NOT NULL, 
	fab_hash VARCHAR NOT NULL, 
	app_type VARCHAR NOT NULL, 
	added_by VARCHAR NOT NULL, 
	added_at TIMESTAMP NOT NULL, 
	is_hub_app BOOLEAN, 
	updated_at TIMESTAMP NOT NULL, display_name VARCHAR, description VARCHAR, color VARCHAR, 
	PRIMARY KEY (federation_id, app_id)
);
INSERT INTO "federation_app" VALUES('@none/default','@federator/tumours','e158f2a1d95ee7a8cb03111150e28efb116e453c3511897d6463b8309265efc6','flwr-serverapp','<id:none>','2026-11-28 02:14:19.674525+00:00',0,'2026-11-28 02:14:19.674533+00:00',NULL,'Federated training of the model in tumour.ipynb',NULL);
CREATE TABLE message (
	message_id VARCHAR NOT NULL, 
	run_id BIGINT NOT NULL, 
	src_node_id BIGINT NOT NULL, 
	dst_node_id BIGINT NOT NULL, 
	src_task_id BIGINT, 
	dst_task_id BIGINT, 
	reply_to_message_id VARCHAR, 
	group_id VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	ttl DOUBLE NOT NULL, 
	message_type VARCHAR NOT NULL, 
	expires_at TIMESTAMP NOT NULL, 
	cleared BOOLEAN DEFAULT (false) NOT NULL, 
	acknowledged_at TIMESTAMP, 
	cancelled_at TIMESTAMP, 
	PRIMARY KEY (message_id), 
	CONSTRAINT ck_message_terminal_timestamps_exclusive CHECK (acknowledged_at IS NULL OR cancelled_at IS NULL), 
	CONSTRAINT ck_message_terminal_timestamps_require_cleared CHECK (cleared OR (acknowledged_at IS NULL AND cancelled_at IS NULL)), 
	FOREIGN KEY(reply_to_message_id) REFERENCES message (message_id) ON DELETE RESTRICT
);
CREATE TABLE "message_ins" (
	message_id VARCHAR, 
	group_id VARCHAR, 
	run_id BIGINT, 
	src_node_id BIGINT, 
	dst_node_id BIGINT, 
	reply_to_message_id VARCHAR, 
	created_at FLOAT, 
	delivered_at VARCHAR, 
	ttl FLOAT, 
	message_type VARCHAR, 
	content BLOB, 
	error BLOB, 
	FOREIGN KEY(run_id) REFERENCES run (run_id), 
	UNIQUE (message_id)
);
CREATE TABLE "message_res" (
	message_id VARCHAR, 
	group_id VARCHAR, 
	run_id BIGINT, 
	src_node_id BIGINT, 
	dst_node_id BIGINT, 
	reply_to_message_id VARCHAR, 
	created_at FLOAT, 
	delivered_at VARCHAR, 
	ttl FLOAT, 
	message_type VARCHAR, 
	content BLOB, 
	error BLOB, 
	UNIQUE (message_id), 
	FOREIGN KEY(run_id) REFERENCES run (run_id)
);
CREATE TABLE "node" (
	node_id BIGINT, 
	owner_aid VARCHAR, 
	owner_name VARCHAR, 
	status VARCHAR, 
	registered_at VARCHAR, 
	last_activated_at VARCHAR, 
	last_deactivated_at VARCHAR, 
	unregistered_at VARCHAR, 
	online_until FLOAT, 
	heartbeat_interval FLOAT, 
	public_key BLOB, location VARCHAR, name VARCHAR, 
	UNIQUE (public_key), 
	UNIQUE (node_id)
);
INSERT INTO "node" VALUES(2898942088028771645,'<id:none>','none','online','2026-11-28T02:14:07.665074+00:00','2026-11-28T02:14:17.115743+00:00',NULL,NULL,1.79583216051416802404e+09,30.0,X'2D2D2D2D2D424547494E205055424C4943204B45592D2D2D2D2D0A4D485977454159484B6F5A497A6A3043415159464B3445454143494459674145304A56674137746B4434774B52314C58356536667655772B6E53553839676B350A374D7A4E79516D4F644A4C7347314F78515A30394F61625A663756677461755852685250772B3873333875367A583737394C446F4C6E43635579314359475A700A59595558345646775339486249672B506E6B522F75723136776E716A7A5966480A2D2D2D2D2D454E44205055424C4943204B45592D2D2D2D2D0A',NULL,'north');
INSERT INTO "node" VALUES(-1424622251131589455,'<id:none>','none','online','2026-11-28T02:14:07.731881+00:00','2026-11-28T02:14:17.732541+00:00',NULL,NULL,1.79583215837323689461e+09,30.0,X'2D2D2D2D2D424547494E205055424C4943204B45592D2D2D2D2D0A4D485977454159484B6F5A497A6A3043415159464B344545414349445967414547495237366E715456746270316D4856314B626E6843506677685574725753360A71354643566D694C7875414667454F672F36764F797846656D2F336B503046434A6E394B4B50465A5145646D39473955575A57564442756E46757964694448770A4F5934487A373549684F67616D5871507143727330662B6D664B38526C7851740A2D2D2D2D2D454E44205055424C4943204B45592D2D2D2D2D0A',NULL,'south');
CREATE TABLE nonce_store (
	namespace VARCHAR NOT NULL, 
	nonce VARCHAR NOT NULL, 
	expires_at FLOAT NOT NULL, 
	PRIMARY KEY (namespace, nonce)
);
CREATE TABLE object_children (
	parent_id VARCHAR NOT NULL, 
	child_id VARCHAR NOT NULL, 
	PRIMARY KEY (parent_id, child_id), 
	FOREIGN KEY(child_id) REFERENCES objects (object_id) ON DELETE CASCADE, 
	FOREIGN KEY(parent_id) REFERENCES objects (object_id) ON DELETE CASCADE
);
CREATE TABLE object_push_session_pending (
	session_id VARCHAR NOT NULL, 
	object_id VARCHAR NOT NULL, 
	PRIMARY KEY (session_id, object_id), 
	FOREIGN KEY(session_id) REFERENCES object_push_sessions (session_id) ON DELETE CASCADE
);
CREATE TABLE object_push_session_roots (
	session_id VARCHAR NOT NULL, 
	root_object_id VARCHAR NOT NULL, 
	PRIMARY KEY (root_object_id), 
	FOREIGN KEY(session_id) REFERENCES object_push_sessions (session_id) ON DELETE CASCADE
);
CREATE TABLE object_push_sessions (
	session_id VARCHAR NOT NULL, 
	run_id BIGINT NOT NULL, 
	expires_at TIMESTAMP NOT NULL, 
	pending_count INTEGER NOT NULL, 
	PRIMARY KEY (session_id)
);
CREATE TABLE "objects" (
	object_id VARCHAR, 
	content BLOB, 
	is_available INTEGER DEFAULT '0' NOT NULL, 
	ref_count INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (object_id), 
	CONSTRAINT ck_objects_is_available CHECK (is_available IN (0, 1)), 
	CONSTRAINT ck_objects_ref_count_nonnegative CHECK (ref_count >= 0)
);
CREATE TABLE objectstore_locks (
	lock_id VARCHAR NOT NULL, 
	lock_value INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (lock_id)
);
INSERT INTO "objectstore_locks" VALUES('mutation',0);
CREATE TABLE "run" (
	run_id BIGINT, 
	fab_id VARCHAR, 
	fab_version VARCHAR, 
	fab_hash VARCHAR, 
	override_config VARCHAR, 
	federation_id VARCHAR, 
	flwr_aid VARCHAR, 
	bytes_sent BIGINT DEFAULT '0', 
	bytes_recv BIGINT DEFAULT '0', 
	clientapp_runtime FLOAT DEFAULT '0.0', 
	federation_config VARCHAR, 
	usage_reported_at VARCHAR DEFAULT ('') NOT NULL, 
	primary_task_id BIGINT NOT NULL, 
	series_id BIGINT, 
	UNIQUE (run_id)
);
INSERT INTO "run" VALUES(-2126160507562670721,'federator/tumours','1.0.0','e158f2a1d95ee7a8cb03111150e28efb116e453c3511897d6463b8309265efc6','{"rounds": 1}','@none/default','<id:none>',8296,6343,1.99983534150005652918e+01,NULL,'',1668972073571062678,5022615663137874715);
CREATE TABLE run_connector (
	run_id BIGINT NOT NULL, 
	connector_id INTEGER NOT NULL, 
	PRIMARY KEY (run_id, connector_id)
);
CREATE TABLE "run_objects" (
	run_id BIGINT NOT NULL, 
	object_id VARCHAR NOT NULL, 
	PRIMARY KEY (run_id, object_id), 
	FOREIGN KEY(object_id) REFERENCES objects (object_id) ON DELETE CASCADE
);
CREATE TABLE "run_series" (
	series_id BIGINT NOT NULL, 
	federation_id VARCHAR NOT NULL, 
	description VARCHAR, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	is_agent BOOLEAN NOT NULL, 
	PRIMARY KEY (series_id)
);
INSERT INTO "run_series" VALUES(5022615663137874715,'@none/default',NULL,'2026-11-28 02:14:19.729583+00:00','2026-11-28 02:14:19.729583+00:00',0);
CREATE TABLE series_context (
	series_id BIGINT NOT NULL, 
	context BLOB, 
	PRIMARY KEY (series_id)
);
INSERT INTO "series_context" VALUES(5022615663137874715,X'08FF8A8D9A888997BFE201100122002A0D0A076D657472696373120272002A120A0C6C6F63616C2D65706F636873120240022A160A10706172616D65746572732E5749445448120240102A0A0A0473656564120240002A1C0A0F706172616D65746572732E524154451209097B14AE47E17A843F2A0C0A06726F756E6473120240022A1D0A066C6162656C73121372116E656761746976652C706F7369746976652A100A0673656C656374120672046C6173742A160A08706F736974697665120A7208706F736974697665309BC695E5DACAFAD945');
CREATE TABLE series_runs (
	id INTEGER NOT NULL, 
	series_id BIGINT NOT NULL, 
	run_id BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (run_id)
);
INSERT INTO "series_runs" VALUES(1,5022615663137874715,-2126160507562670721);
CREATE TABLE task (
	task_id BIGINT NOT NULL, 
	type VARCHAR NOT NULL, 
	run_id BIGINT NOT NULL, 
	fab_hash VARCHAR, 
	model_ref VARCHAR, 
	connector_ref VARCHAR, 
	token VARCHAR, 
	active_until TIMESTAMP, 
	pending_at TIMESTAMP NOT NULL, 
	starting_at TIMESTAMP, 
	running_at TIMESTAMP, 
	finished_at TIMESTAMP, 
	sub_status VARCHAR DEFAULT '' NOT NULL, 
	details VARCHAR DEFAULT '' NOT NULL, connector_id INTEGER, 
	UNIQUE (task_id)
);
INSERT INTO "task" VALUES(1668972073571062678,'flwr-serverapp',-2126160507562670721,'e158f2a1d95ee7a8cb03111150e28efb116e453c3511897d6463b8309265efc6',NULL,NULL,NULL,NULL,'2026-11-28 02:14:19.729534+00:00','2026-11-28 02:14:20.353398+00:00','2026-11-28 02:14:32.345345+00:00','2026-11-28 02:14:59.342218+00:00','completed','',NULL);
CREATE TABLE task_event (
	id INTEGER NOT NULL, 
	timestamp TIMESTAMP NOT NULL, 
	run_id BIGINT NOT NULL, 
	task_id BIGINT NOT NULL, 
	event VARCHAR NOT NULL, 
	data VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(task_id) REFERENCES task (task_id)
);
CREATE TABLE task_logs (
	timestamp FLOAT NOT NULL, 
	task_id BIGINT NOT NULL, 
	log VARCHAR NOT NULL, 
	FOREIGN KEY(task_id) REFERENCES task (task_id)
);
CREATE TABLE task_message (
	message_id VARCHAR NOT NULL, 
	run_id BIGINT NOT NULL, 
	src_task_id BIGINT NOT NULL, 
	dst_task_id BIGINT NOT NULL, 
	reply_to_message_id VARCHAR, 
	created_at FLOAT NOT NULL, 
	ttl FLOAT NOT NULL, 
	message_type VARCHAR NOT NULL, 
	content BLOB, 
	error BLOB, 
	PRIMARY KEY (message_id), 
	FOREIGN KEY(dst_task_id) REFERENCES task (task_id), 
	FOREIGN KEY(src_task_id) REFERENCES task (task_id)
);
CREATE TABLE task_usage (
	id INTEGER NOT NULL, 
	run_id BIGINT NOT NULL, 
	task_id BIGINT NOT NULL, 
	input_tokens BIGINT, 
	output_tokens BIGINT, 
	total_tokens BIGINT, 
	usage_type VARCHAR NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	reported_at TIMESTAMP, provider VARCHAR DEFAULT 'unknown' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(task_id) REFERENCES task (task_id)
);
CREATE INDEX idx_nonce_store_expires_at ON nonce_store (expires_at);
CREATE INDEX idx_task_run_id ON task (run_id);
CREATE INDEX idx_task_token ON task (token);
CREATE INDEX idx_task_active_until ON task (active_until);
CREATE INDEX idx_task_logs_task_id_timestamp ON task_logs (task_id, timestamp);
CREATE INDEX idx_task_message_dst_task_id_created_at ON task_message (dst_task_id, created_at);
CREATE INDEX idx_task_message_run_id ON task_message (run_id);
CREATE INDEX idx_node_status ON node (status);
CREATE INDEX idx_online_until ON node (online_until);
CREATE INDEX idx_node_owner_aid ON node (owner_aid);
CREATE INDEX idx_task_event_run_id_id ON task_event (run_id, id);
CREATE INDEX idx_task_event_task_id ON task_event (task_id);
CREATE INDEX idx_series_runs_series_id ON series_runs (series_id);
CREATE UNIQUE INDEX idx_message_res_reply_to_message_id_unique ON message_res (reply_to_message_id);
CREATE INDEX idx_task_usage_reported_at ON task_usage (reported_at);
CREATE INDEX idx_task_usage_run_id ON task_usage (run_id);
CREATE INDEX idx_task_usage_task_id ON task_usage (task_id);
CREATE INDEX idx_run_series_id ON run (series_id);
CREATE INDEX idx_object_push_sessions_expires_at ON object_push_sessions (expires_at);
CREATE INDEX idx_object_push_sessions_run_id ON object_push_sessions (run_id);
CREATE INDEX idx_object_push_session_pending_object_id_session_id ON object_push_session_pending (object_id, session_id);
CREATE INDEX idx_object_push_session_roots_session_id ON object_push_session_roots (session_id);
CREATE INDEX idx_automation_status_next_run_at ON automation (status, next_run_at);
CREATE INDEX idx_automation_federation_id_status_updated_at ON automation (federation_id, status, updated_at);
CREATE INDEX idx_federation_app_federation_id_added_at ON federation_app (federation_id, added_at);
CREATE INDEX idx_federation_app_app_id_federation_id ON federation_app (app_id, federation_id);
CREATE INDEX idx_message_pending_dst_created_at ON message (dst_node_id, created_at, message_id) WHERE cleared IS 0;
CREATE INDEX idx_message_pending_dst_run_created_at ON message (dst_node_id, run_id, created_at, message_id) WHERE cleared IS 0;
CREATE INDEX idx_message_pending_run_id ON message (run_id) WHERE cleared IS 0;
CREATE INDEX idx_message_reply_to_message_id ON message (reply_to_message_id);
CREATE INDEX idx_compacted_contexts_series_id_id ON compacted_contexts (series_id, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('connector',0);
COMMIT;
