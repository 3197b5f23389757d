BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'Slope/stage1');
INSERT INTO "studies" VALUES(2,'Slope/stage2');
INSERT INTO "studies" VALUES(3,'Slope/stage3');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
INSERT INTO "study_directions" VALUES(3,'MINIMIZE',3,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'task','"slope.py:Slope"');
INSERT INTO "study_user_attributes" VALUES(2,1,'metric','"val_loss"');
INSERT INTO "study_user_attributes" VALUES(3,1,'decision','{"name": "stage1", "winner": {"lr": 0.1, "step_nums": 20, "batch_size": 8, "momentum": 0.9, "optimizer": "sgd", "seed": 0, "schedule": [{"steps": 20, "lr": 0.1, "interval": 1, "shape": "constant"}]}, "metric": "val_loss", "value": 0.10192462801933289, "interval": null, "rule": "the training loss that falls fast and deep screens, validation decides; of equals the one that converged first", "margin": null, "tie": false, "warnings": ["not converged within 20 steps, the margin included: allow more with --max-steps"], "trials": 3, "steps_trained": 44, "steps_shared": 0, "steps_saved": 16, "examples_trained": 352, "seconds": 0.152}');
INSERT INTO "study_user_attributes" VALUES(4,2,'task','"slope.py:Slope"');
INSERT INTO "study_user_attributes" VALUES(5,2,'metric','"val_loss"');
INSERT INTO "study_user_attributes" VALUES(6,2,'decision','{"name": "stage2", "winner": {"lr": 0.3, "step_nums": 18, "batch_size": 8, "momentum": 0.0, "optimizer": "sgd", "seed": 0, "schedule": [{"steps": 18, "lr": 0.3, "interval": 1, "shape": "constant"}]}, "metric": "val_loss", "value": 0.00042565385228954256, "interval": [-0.00018647591986239943, 0.0010377836244414847], "rule": "the training loss screens, validation over 2 shared seeds decides; of equals the fewest steps", "margin": null, "tie": false, "warnings": ["the best batch size, 8, lies at the edge of the grid"], "trials": 8, "steps_trained": 87, "steps_shared": 8, "steps_saved": 45, "examples_trained": 768, "seconds": 0.326}');
INSERT INTO "study_user_attributes" VALUES(7,3,'task','"slope.py:Slope"');
INSERT INTO "study_user_attributes" VALUES(8,3,'metric','"val_loss"');
INSERT INTO "study_user_attributes" VALUES(9,3,'decision','{"name": "stage3", "winner": {"lr": 0.3, "step_nums": 18, "batch_size": 8, "momentum": 0.0, "optimizer": "sgd", "seed": 0, "schedule": [{"steps": 18, "lr": 0.3, "interval": 1, "shape": "constant"}]}, "metric": "val_loss", "value": 0.00042565385228954256, "interval": [-0.00018647591986239943, 0.0010377836244414847], "rule": "the lazy linear decay against the constant rate, over shared seeds: without a gain beyond noise, no decay", "margin": 0.0340078767912928, "tie": false, "warnings": [], "trials": 4, "steps_trained": 40, "steps_shared": 32, "steps_saved": 0, "examples_trained": 320, "seconds": 0.136}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'lr',0.1,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(3,1,'momentum',0.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(4,1,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(5,1,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(6,2,'lr',0.01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(7,2,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(8,2,'momentum',0.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(9,2,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(10,2,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(11,3,'lr',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(12,3,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(13,3,'momentum',0.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(14,3,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(15,3,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(16,4,'lr',0.1,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(17,4,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(18,4,'momentum',0.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(19,4,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(20,4,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(21,5,'lr',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(22,5,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(23,5,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(24,5,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(25,5,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(26,6,'lr',2.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(27,6,'batch_size',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(28,6,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(29,6,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(30,6,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(31,7,'lr',0.2,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(32,7,'batch_size',16.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(33,7,'momentum',0.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(34,7,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(35,7,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(36,8,'lr',3.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(37,8,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(38,8,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(39,8,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(40,8,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(41,9,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(42,9,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(43,9,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(44,9,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(45,9,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(46,10,'lr',0.09,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(47,10,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(48,10,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(49,10,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(50,10,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(51,11,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(52,11,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(53,11,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(54,11,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(55,11,'seed',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(56,12,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(57,12,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(58,12,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(59,12,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(60,12,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(61,13,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(62,13,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(63,13,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(64,13,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(65,13,'seed',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(66,14,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(67,14,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(68,14,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(69,14,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(70,14,'seed',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(71,14,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["linear", "exponential", "cosine", "sqrt"]}}');
INSERT INTO "trial_params" VALUES(72,14,'start',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1099511627776}}');
INSERT INTO "trial_params" VALUES(73,14,'interval',1.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 1099511627776}}');
INSERT INTO "trial_params" VALUES(74,15,'lr',0.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-10, "high": 10000.0, "log": true}}');
INSERT INTO "trial_params" VALUES(75,15,'batch_size',8.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 16777216}}');
INSERT INTO "trial_params" VALUES(76,15,'momentum',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(77,15,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion"]}}');
INSERT INTO "trial_params" VALUES(78,15,'seed',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9007199254740992}}');
INSERT INTO "trial_params" VALUES(79,15,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["linear", "exponential", "cosine", "sqrt"]}}');
INSERT INTO "trial_params" VALUES(80,15,'start',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1099511627776}}');
INSERT INTO "trial_params" VALUES(81,15,'interval',1.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 1099511627776}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'stage','"stage1"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'plan_id','"cd4a6c8cf00491f7"');
INSERT INTO "trial_user_attributes" VALUES(3,1,'step_nums','20');
INSERT INTO "trial_user_attributes" VALUES(4,2,'stage','"stage1"');
INSERT INTO "trial_user_attributes" VALUES(5,2,'plan_id','"8e4b4ce3c9460f3f"');
INSERT INTO "trial_user_attributes" VALUES(6,2,'step_nums','8');
INSERT INTO "trial_user_attributes" VALUES(7,3,'stage','"stage1"');
INSERT INTO "trial_user_attributes" VALUES(8,3,'plan_id','"68eef7e71254704b"');
INSERT INTO "trial_user_attributes" VALUES(9,3,'step_nums','16');
INSERT INTO "trial_user_attributes" VALUES(10,1,'outcome','"winner"');
INSERT INTO "trial_user_attributes" VALUES(11,2,'outcome','"left at step 8: it would not have caught up by step 20"');
INSERT INTO "trial_user_attributes" VALUES(12,3,'outcome','"left at step 16: it would not have caught up by step 20"');
INSERT INTO "trial_user_attributes" VALUES(13,4,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(14,4,'plan_id','"21c70c111c7f3ee6"');
INSERT INTO "trial_user_attributes" VALUES(15,4,'step_nums','10');
INSERT INTO "trial_user_attributes" VALUES(16,5,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(17,5,'plan_id','"38126d6dacd59b97"');
INSERT INTO "trial_user_attributes" VALUES(18,5,'step_nums','20');
INSERT INTO "trial_user_attributes" VALUES(19,6,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(20,6,'plan_id','"a343ab4b2ed1f2e9"');
INSERT INTO "trial_user_attributes" VALUES(21,6,'step_nums','4');
INSERT INTO "trial_user_attributes" VALUES(22,7,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(23,7,'plan_id','"47a836a91d648901"');
INSERT INTO "trial_user_attributes" VALUES(24,7,'step_nums','5');
INSERT INTO "trial_user_attributes" VALUES(25,8,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(26,8,'plan_id','"bdc679e876199059"');
INSERT INTO "trial_user_attributes" VALUES(27,8,'step_nums','8');
INSERT INTO "trial_user_attributes" VALUES(28,9,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(29,9,'plan_id','"c595bd93678f217a"');
INSERT INTO "trial_user_attributes" VALUES(30,9,'step_nums','20');
INSERT INTO "trial_user_attributes" VALUES(31,10,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(32,10,'plan_id','"ec4d5794efe57d47"');
INSERT INTO "trial_user_attributes" VALUES(33,10,'step_nums','8');
INSERT INTO "trial_user_attributes" VALUES(34,11,'stage','"stage2"');
INSERT INTO "trial_user_attributes" VALUES(35,11,'plan_id','"cc40cba77000003b"');
INSERT INTO "trial_user_attributes" VALUES(36,11,'step_nums','20');
INSERT INTO "trial_user_attributes" VALUES(37,4,'outcome','"left at step 10: the better half went on"');
INSERT INTO "trial_user_attributes" VALUES(38,5,'outcome','"validates worse"');
INSERT INTO "trial_user_attributes" VALUES(39,6,'outcome','"left at step 4: the better half went on"');
INSERT INTO "trial_user_attributes" VALUES(40,7,'outcome','"left at step 5: the better half went on"');
INSERT INTO "trial_user_attributes" VALUES(41,8,'outcome','"left at step 8: the better half went on"');
INSERT INTO "trial_user_attributes" VALUES(42,9,'outcome','"winner"');
INSERT INTO "trial_user_attributes" VALUES(43,10,'outcome','"left at step 8: the better half went on"');
INSERT INTO "trial_user_attributes" VALUES(44,11,'outcome','"winner"');
INSERT INTO "trial_user_attributes" VALUES(45,12,'stage','"stage3"');
INSERT INTO "trial_user_attributes" VALUES(46,12,'plan_id','"c44d563def8ff637"');
INSERT INTO "trial_user_attributes" VALUES(47,12,'step_nums','18');
INSERT INTO "trial_user_attributes" VALUES(48,13,'stage','"stage3"');
INSERT INTO "trial_user_attributes" VALUES(49,13,'plan_id','"f180a2f0f0950e58"');
INSERT INTO "trial_user_attributes" VALUES(50,13,'step_nums','18');
INSERT INTO "trial_user_attributes" VALUES(51,14,'stage','"stage3"');
INSERT INTO "trial_user_attributes" VALUES(52,14,'plan_id','"142bef1a13f9499a"');
INSERT INTO "trial_user_attributes" VALUES(53,14,'step_nums','18');
INSERT INTO "trial_user_attributes" VALUES(54,15,'stage','"stage3"');
INSERT INTO "trial_user_attributes" VALUES(55,15,'plan_id','"26f8f5cc49d9f68b"');
INSERT INTO "trial_user_attributes" VALUES(56,15,'step_nums','18');
INSERT INTO "trial_user_attributes" VALUES(57,12,'outcome','"winner"');
INSERT INTO "trial_user_attributes" VALUES(58,13,'outcome','"winner"');
INSERT INTO "trial_user_attributes" VALUES(59,14,'outcome','"no gain"');
INSERT INTO "trial_user_attributes" VALUES(60,15,'outcome','"no gain"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,1.01924628019332885742e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,2.10006976127624511718e+00,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,6.8152179718017578125e+00,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,9.85900223255157470703e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,5,0,6.3781909644603729248e-02,'FINITE');
INSERT INTO "trial_values" VALUES(6,6,0,3.86729522705078125003e+02,'FINITE');
INSERT INTO "trial_values" VALUES(7,7,0,4.83842253684997558593e-01,'FINITE');
INSERT INTO "trial_values" VALUES(8,8,0,26670262272.0,'FINITE');
INSERT INTO "trial_values" VALUES(9,9,0,1.34099958813749253749e-04,'FINITE');
INSERT INTO "trial_values" VALUES(10,10,0,1.10768163204193115234e+00,'FINITE');
INSERT INTO "trial_values" VALUES(11,11,0,1.36206042952835559844e-04,'FINITE');
INSERT INTO "trial_values" VALUES(12,12,0,4.73829510156065225601e-04,'FINITE');
INSERT INTO "trial_values" VALUES(13,13,0,3.77478194423019886016e-04,'FINITE');
INSERT INTO "trial_values" VALUES(14,14,0,3.59037630259990692138e-02,'FINITE');
INSERT INTO "trial_values" VALUES(15,15,0,3.29632982611656188964e-02,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-25 00:33:14.663803','2026-11-25 00:33:16.476008');
INSERT INTO "trials" VALUES(2,1,1,'PRUNED','2026-11-25 00:33:14.791906','2026-11-25 00:33:16.509851');
INSERT INTO "trials" VALUES(3,2,1,'PRUNED','2026-11-25 00:33:15.397520','2026-11-25 00:33:16.533120');
INSERT INTO "trials" VALUES(4,0,2,'PRUNED','2026-11-25 00:33:16.635295','2026-11-25 00:33:20.572912');
INSERT INTO "trials" VALUES(5,1,2,'COMPLETE','2026-11-25 00:33:16.708113','2026-11-25 00:33:20.589144');
INSERT INTO "trials" VALUES(6,2,2,'PRUNED','2026-11-25 00:33:16.776412','2026-11-25 00:33:20.609087');
INSERT INTO "trials" VALUES(7,3,2,'PRUNED','2026-11-25 00:33:16.829677','2026-11-25 00:33:20.625693');
INSERT INTO "trials" VALUES(8,4,2,'PRUNED','2026-11-25 00:33:17.984724','2026-11-25 00:33:20.641456');
INSERT INTO "trials" VALUES(9,5,2,'COMPLETE','2026-11-25 00:33:18.087052','2026-11-25 00:33:20.660353');
INSERT INTO "trials" VALUES(10,6,2,'PRUNED','2026-11-25 00:33:18.868199','2026-11-25 00:33:20.682748');
INSERT INTO "trials" VALUES(11,7,2,'COMPLETE','2026-11-25 00:33:19.134728','2026-11-25 00:33:20.698621');
INSERT INTO "trials" VALUES(12,0,3,'COMPLETE','2026-11-25 00:33:20.802569','2026-11-25 00:33:21.874879');
INSERT INTO "trials" VALUES(13,1,3,'COMPLETE','2026-11-25 00:33:20.874221','2026-11-25 00:33:21.898420');
INSERT INTO "trials" VALUES(14,2,3,'COMPLETE','2026-11-25 00:33:20.945459','2026-11-25 00:33:21.918464');
INSERT INTO "trials" VALUES(15,3,3,'COMPLETE','2026-11-25 00:33:21.033822','2026-11-25 00:33:21.934210');
CREATE TABLE tuner_decisions (
	id INTEGER NOT NULL, 
	study VARCHAR(80) NOT NULL, 
	stage VARCHAR(80) NOT NULL, 
	written DOUBLE NOT NULL, 
	decision TEXT NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tuner_decisions" VALUES(1,'Slope','stage1',1.79556679643600273135e+09,'{"stage":"stage1","question":"Which learning rate, and how many steps?","metric":{"name":"val_loss","mode":"min"},"winner":{"segments":[{"steps":20,"rate":{"lr":0.1,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0},"value":0.10192462801933289,"interval":null,"values":[],"rule":"the training loss that falls fast and deep screens, validation decides; of equals the one that converged first","runner_up":null,"margin":null,"tie":false,"warnings":["not converged within 20 steps, the margin included: allow more with --max-steps"],"words":["0.1 is the learning rate: of 3 rates 1 fell deep, and of these it validates best (val_loss 0.1019).","Its curve has converged at step 20; with the safety margin: 20 steps.","Its updates move the weights by 0.293 of their norm a step (rule of thumb: 0.001)."],"evidence":[{"label":"lr 0.1","plan":{"segments":[{"steps":20,"rate":{"lr":0.1,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0},"trials":[0],"value":0.10192462801933289,"interval":null,"state":"complete","outcome":"winner"},{"label":"lr 1","plan":{"segments":[{"steps":16,"rate":{"lr":1.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0},"trials":[2],"value":6.815217971801758,"interval":null,"state":"pruned","outcome":"left at step 16: it would not have caught up by step 20"},{"label":"lr 0.01","plan":{"segments":[{"steps":8,"rate":{"lr":0.01,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0},"trials":[1],"value":2.100069761276245,"interval":null,"state":"pruned","outcome":"left at step 8: it would not have caught up by step 20"}],"marks":{"converged":20.0,"step_nums":20.0,"update_ratio":0.2929661516100168},"cost":{"trials":3,"steps_trained":44,"steps_shared":0,"steps_saved":16,"examples_trained":352,"seconds":0.152}}',0);
INSERT INTO "tuner_decisions" VALUES(2,'Slope','stage2',1.79556680053201770785e+09,'{"stage":"stage2","question":"Which batch size and which momentum, jointly?","metric":{"name":"val_loss","mode":"min"},"winner":{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"value":0.00042565385228954256,"interval":[-0.00018647591986239943,0.0010377836244414847],"values":[0.0004738295101560652,0.0003774781944230199],"rule":"the training loss screens, validation over 2 shared seeds decides; of equals the fewest steps","runner_up":null,"margin":null,"tie":false,"warnings":["the best batch size, 8, lies at the edge of the grid"],"words":["Batch size 8 with momentum 0 (rate 0.3): of 7 candidates 2 went the whole way and 1 were repeated with other seeds; val_loss 0.0004257.","No other pair came near it.","The curve has converged at step 12: the number of steps is trimmed to 18."],"evidence":[{"label":"batch 8, momentum 0, lr 0.3","plan":{"segments":[{"steps":20,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[5,7],"value":0.0001351530008832924,"interval":[0.00012177283275187199,0.00014853316901471282],"state":"complete","outcome":"winner"},{"label":"batch 8, momentum 0, lr 1","plan":{"segments":[{"steps":20,"rate":{"lr":1.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[1],"value":0.06378190964460373,"interval":null,"state":"complete","outcome":"validates worse"},{"label":"batch 16, momentum 0.9, lr 0.2","plan":{"segments":[{"steps":5,"rate":{"lr":0.2,"interval":1,"shape":"constant"}}],"batch_size":16,"momentum":0.9,"optimizer":"sgd","seed":0},"trials":[3],"value":0.48384225368499756,"interval":null,"state":"pruned","outcome":"left at step 5: the better half went on"},{"label":"batch 8, momentum 0.9, lr 0.1","plan":{"segments":[{"steps":10,"rate":{"lr":0.1,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0},"trials":[0],"value":0.9859002232551575,"interval":null,"state":"pruned","outcome":"left at step 10: the better half went on"},{"label":"batch 8, momentum 0, lr 0.09","plan":{"segments":[{"steps":8,"rate":{"lr":0.09,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[6],"value":1.1076816320419312,"interval":null,"state":"pruned","outcome":"left at step 8: the better half went on"},{"label":"batch 16, momentum 0, lr 2","plan":{"segments":[{"steps":4,"rate":{"lr":2.0,"interval":1,"shape":"constant"}}],"batch_size":16,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[2],"value":386.7295227050781,"interval":null,"state":"pruned","outcome":"left at step 4: the better half went on"},{"label":"batch 8, momentum 0, lr 3","plan":{"segments":[{"steps":8,"rate":{"lr":3.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[4],"value":26670262272.0,"interval":null,"state":"pruned","outcome":"left at step 8: the better half went on"}],"marks":{"converged":12.0,"step_nums":18.0},"cost":{"trials":8,"steps_trained":87,"steps_shared":8,"steps_saved":45,"examples_trained":768,"seconds":0.326}}',0);
INSERT INTO "tuner_decisions" VALUES(3,'Slope','stage3',1.79556680182100677489e+09,'{"stage":"stage3","question":"Does decaying the learning rate help, and how?","metric":{"name":"val_loss","mode":"min"},"winner":{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"value":0.00042565385228954256,"interval":[-0.00018647591986239943,0.0010377836244414847],"values":[0.0004738295101560652,0.0003774781944230199],"rule":"the lazy linear decay against the constant rate, over shared seeds: without a gain beyond noise, no decay","runner_up":{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"linear","over":18,"end":0.0}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"margin":0.0340078767912928,"tie":false,"warnings":[],"words":["Insensitive: the lazy linear decay takes val_loss from 0.0004257 to 0.03443, which is worse; the terrain is flat, and the rate stays constant."],"evidence":[{"label":"constant","plan":{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[0,1],"value":0.00042565385228954256,"interval":[-0.00018647591986239943,0.0010377836244414847],"state":"complete","outcome":"winner"},{"label":"linear from the first step","plan":{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"linear","over":18,"end":0.0}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0},"trials":[2,3],"value":0.034433530643582344,"interval":[0.015752456982841546,0.053114604304323146],"state":"complete","outcome":"no gain"}],"marks":{"lazy_gain":-0.0340078767912928},"cost":{"trials":4,"steps_trained":40,"steps_shared":32,"steps_saved":0,"examples_trained":320,"seconds":0.136}}',0);
CREATE TABLE tuner_points (
	trial_id INTEGER NOT NULL, 
	step BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	measured TEXT NOT NULL, 
	PRIMARY KEY (trial_id, step)
)
 WITHOUT ROWID

;
INSERT INTO "tuner_points" VALUES(1,2,0.00997363500209758,'{"train_loss":2.1914994716644287,"lr":0.1,"val_loss":2.354957103729248,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(1,4,1.32201140040706377476e-02,'{"train_loss":2.5012779235839844,"lr":0.1,"val_loss":0.8002235889434814,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(1,6,2.4621718002890702337e-02,'{"train_loss":0.5893771648406982,"lr":0.1,"val_loss":0.20700964331626892,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(1,8,3.6067334003746509552e-02,'{"train_loss":0.2502365708351135,"lr":0.1,"val_loss":0.6230553388595581,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(1,10,4.85009220028587151318e-02,'{"train_loss":1.0055196285247803,"lr":0.1,"val_loss":0.9859002232551575,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(1,12,5.61669400012760888785e-02,'{"train_loss":0.7065473198890686,"lr":0.1,"val_loss":1.1272718906402588,"update_ratio":0.04664783552289009}');
INSERT INTO "tuner_points" VALUES(1,14,6.92871459978050552308e-02,'{"train_loss":1.1741024255752563,"lr":0.1,"val_loss":0.7009820938110352,"update_ratio":0.04664783552289009}');
INSERT INTO "tuner_points" VALUES(1,16,7.31170290018781088292e-02,'{"train_loss":0.5415753126144409,"lr":0.1,"val_loss":0.21839630603790283,"update_ratio":0.04664783552289009}');
INSERT INTO "tuner_points" VALUES(1,18,0.0763865699955204,'{"train_loss":0.11652764678001404,"lr":0.1,"val_loss":0.005445607006549835,"update_ratio":0.04664783552289009}');
INSERT INTO "tuner_points" VALUES(1,20,7.92149849985435139387e-02,'{"train_loss":0.01957385055720806,"lr":0.1,"val_loss":0.10192462801933289,"update_ratio":0.04664783552289009}');
INSERT INTO "tuner_points" VALUES(2,2,7.8042049972282256931e-03,'{"train_loss":2.28727650642395,"lr":0.01,"val_loss":3.2336976528167725,"update_ratio":0.0539284311234951}');
INSERT INTO "tuner_points" VALUES(2,4,1.0711808998166816309e-02,'{"train_loss":4.161447525024414,"lr":0.01,"val_loss":2.9637792110443115,"update_ratio":0.0539284311234951}');
INSERT INTO "tuner_points" VALUES(2,6,1.77348199977132026106e-02,'{"train_loss":3.1431684494018555,"lr":0.01,"val_loss":2.5330915451049805,"update_ratio":0.0539284311234951}');
INSERT INTO "tuner_points" VALUES(2,8,2.4595496997790178284e-02,'{"train_loss":2.3208467960357666,"lr":0.01,"val_loss":2.100069761276245,"update_ratio":0.0539284311234951}');
INSERT INTO "tuner_points" VALUES(3,2,7.7895489957882091403e-03,'{"train_loss":1.7333701848983765,"lr":1.0,"val_loss":0.3553938567638397,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(3,4,1.09739619947504252195e-02,'{"train_loss":1.4777143001556396,"lr":1.0,"val_loss":1.5267373323440552,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(3,6,1.8265355996845755726e-02,'{"train_loss":0.5334434509277344,"lr":1.0,"val_loss":1.4692714214324951,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(3,8,2.54063689935719594359e-02,'{"train_loss":1.0890905857086182,"lr":1.0,"val_loss":1.1105271577835083,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(3,10,2.86365979955007787793e-02,'{"train_loss":0.8492217659950256,"lr":1.0,"val_loss":1.4888993501663208,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(3,12,3.63585599989164620637e-02,'{"train_loss":0.7670895457267761,"lr":1.0,"val_loss":1.668778419494629,"update_ratio":0.4354095160961151}');
INSERT INTO "tuner_points" VALUES(3,14,3.92289039991737809032e-02,'{"train_loss":1.927973985671997,"lr":1.0,"val_loss":7.902707576751709,"update_ratio":0.4354095160961151}');
INSERT INTO "tuner_points" VALUES(3,16,4.78044269984820857644e-02,'{"train_loss":3.921492576599121,"lr":1.0,"val_loss":6.815217971801758,"update_ratio":0.4354095160961151}');
INSERT INTO "tuner_points" VALUES(4,2,0.00997363500209758,'{"train_loss":2.1914994716644287,"lr":0.1,"val_loss":2.354957103729248,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(4,4,1.32201140040706377476e-02,'{"train_loss":2.5012779235839844,"lr":0.1,"val_loss":0.8002235889434814,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(4,6,2.4621718002890702337e-02,'{"train_loss":0.5893771648406982,"lr":0.1,"val_loss":0.20700964331626892,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(4,8,3.6067334003746509552e-02,'{"train_loss":0.2502365708351135,"lr":0.1,"val_loss":0.6230553388595581,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(4,10,4.85009220028587151318e-02,'{"train_loss":1.0055196285247803,"lr":0.1,"val_loss":0.9859002232551575,"update_ratio":0.5392844676971436}');
INSERT INTO "tuner_points" VALUES(5,2,1.30424009985290467739e-02,'{"train_loss":1.7333701848983765,"lr":1.0,"val_loss":0.5664219856262207,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(5,4,1.62711259981733746826e-02,'{"train_loss":0.30699193477630615,"lr":1.0,"val_loss":0.06878221780061722,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(5,6,3.20617199977277778089e-02,'{"train_loss":0.12031210958957672,"lr":1.0,"val_loss":0.13765022158622742,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(5,8,3.95508250003331340849e-02,'{"train_loss":0.17186005413532257,"lr":1.0,"val_loss":0.2088475078344345,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(5,10,5.07342189994233194738e-02,'{"train_loss":0.20118238031864166,"lr":1.0,"val_loss":0.16377055644989014,"update_ratio":5.392844200134277}');
INSERT INTO "tuner_points" VALUES(5,12,0.0539191319985548,'{"train_loss":0.15915660560131073,"lr":1.0,"val_loss":0.156988725066185,"update_ratio":0.25855523347854614}');
INSERT INTO "tuner_points" VALUES(5,14,5.67641189954883884638e-02,'{"train_loss":0.17728251218795776,"lr":1.0,"val_loss":0.14557713270187378,"update_ratio":0.25855523347854614}');
INSERT INTO "tuner_points" VALUES(5,16,6.38131289961165748536e-02,'{"train_loss":0.13879218697547913,"lr":1.0,"val_loss":0.11149043589830399,"update_ratio":0.25855523347854614}');
INSERT INTO "tuner_points" VALUES(5,18,6.63408399959735106676e-02,'{"train_loss":0.11266900599002838,"lr":1.0,"val_loss":0.11567877233028412,"update_ratio":0.25855523347854614}');
INSERT INTO "tuner_points" VALUES(5,20,7.39154369948664680123e-02,'{"train_loss":0.10127279162406921,"lr":1.0,"val_loss":0.06378190964460373,"update_ratio":0.25855523347854614}');
INSERT INTO "tuner_points" VALUES(6,1,2.36464499903377145528e-03,'{"train_loss":2.2984790802001953,"lr":2.0,"val_loss":0.6100103855133057,"update_ratio":8.40909194946289}');
INSERT INTO "tuner_points" VALUES(6,2,0.00458269499722519,'{"train_loss":0.6069566011428833,"lr":2.0,"val_loss":5.417963027954102,"update_ratio":8.40909194946289}');
INSERT INTO "tuner_points" VALUES(6,3,1.84265989992127288132e-02,'{"train_loss":5.429166793823242,"lr":2.0,"val_loss":50.15198516845703,"update_ratio":8.40909194946289}');
INSERT INTO "tuner_points" VALUES(6,4,2.12367390013241674751e-02,'{"train_loss":44.89104461669922,"lr":2.0,"val_loss":386.7295227050781,"update_ratio":8.40909194946289}');
INSERT INTO "tuner_points" VALUES(7,1,2.17604000135906971991e-03,'{"train_loss":2.2984790802001953,"lr":0.2,"val_loss":2.6794204711914062,"update_ratio":0.8409091830253601}');
INSERT INTO "tuner_points" VALUES(7,2,4.09574100194731727242e-03,'{"train_loss":3.5196590423583984,"lr":0.2,"val_loss":1.3429079055786133,"update_ratio":0.8409091830253601}');
INSERT INTO "tuner_points" VALUES(7,3,5.45542100371676497161e-03,'{"train_loss":1.3115533590316772,"lr":0.2,"val_loss":0.47295448184013367,"update_ratio":0.8409091830253601}');
INSERT INTO "tuner_points" VALUES(7,4,1.128040500043425709e-02,'{"train_loss":0.6274627447128296,"lr":0.2,"val_loss":0.22781483829021454,"update_ratio":0.8409091830253601}');
INSERT INTO "tuner_points" VALUES(7,5,1.38353560032555833458e-02,'{"train_loss":0.23072516918182373,"lr":0.2,"val_loss":0.48384225368499756,"update_ratio":0.8409091830253601}');
INSERT INTO "tuner_points" VALUES(8,2,1.17075870002736337482e-02,'{"train_loss":3.9677419662475586,"lr":3.0,"val_loss":94.18709564208984,"update_ratio":16.17853355407715}');
INSERT INTO "tuner_points" VALUES(8,4,1.44703490041138138622e-02,'{"train_loss":1166.2374267578125,"lr":3.0,"val_loss":54032.109375,"update_ratio":16.17853355407715}');
INSERT INTO "tuner_points" VALUES(8,6,1.72228610026650130748e-02,'{"train_loss":876776.75,"lr":3.0,"val_loss":40095772.0,"update_ratio":16.17853355407715}');
INSERT INTO "tuner_points" VALUES(8,8,0.0280565490029403,'{"train_loss":546752128.0,"lr":3.0,"val_loss":26670262272.0,"update_ratio":16.17853355407715}');
INSERT INTO "tuner_points" VALUES(9,2,2.94081600441131740808e-03,'{"train_loss":2.011185884475708,"lr":0.3,"val_loss":1.713454246520996,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(9,4,2.01887140065082348883e-02,'{"train_loss":1.799850583076477,"lr":0.3,"val_loss":0.4457601010799408,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(9,6,3.09263820017804391682e-02,'{"train_loss":0.35025060176849365,"lr":0.3,"val_loss":0.2008349895477295,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(9,8,3.33027880042209289968e-02,'{"train_loss":0.18412968516349792,"lr":0.3,"val_loss":0.06822264194488525,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(9,10,4.10528330066881608217e-02,'{"train_loss":0.07188063114881516,"lr":0.3,"val_loss":0.015781402587890625,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(9,12,0.0489375990073313,'{"train_loss":0.009366892278194427,"lr":0.3,"val_loss":0.008571332320570946,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(9,14,5.19013680059288162738e-02,'{"train_loss":0.010092725977301598,"lr":0.3,"val_loss":0.0025910143740475178,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(9,16,5.91828040087420959025e-02,'{"train_loss":0.0019731572829186916,"lr":0.3,"val_loss":0.0010057123145088553,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(9,18,6.22350790072232484817e-02,'{"train_loss":0.0006916818674653769,"lr":0.3,"val_loss":0.0004738295101560652,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(9,20,7.35722510071354918181e-02,'{"train_loss":0.0004974076873622835,"lr":0.3,"val_loss":0.00013409995881374925,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(10,2,8.49737499811453744769e-03,'{"train_loss":2.201692581176758,"lr":0.09,"val_loss":2.757322311401367,"update_ratio":0.48535600304603577}');
INSERT INTO "tuner_points" VALUES(10,4,1.11538470009691081941e-02,'{"train_loss":3.3789474964141846,"lr":0.09,"val_loss":1.904421091079712,"update_ratio":0.48535600304603577}');
INSERT INTO "tuner_points" VALUES(10,6,1.33895610051695257425e-02,'{"train_loss":1.8537572622299194,"lr":0.09,"val_loss":1.4446784257888794,"update_ratio":0.48535600304603577}');
INSERT INTO "tuner_points" VALUES(10,8,1.54867140081478282809e-02,'{"train_loss":1.4089057445526123,"lr":0.09,"val_loss":1.1076816320419312,"update_ratio":0.48535600304603577}');
INSERT INTO "tuner_points" VALUES(11,2,7.89174999954411759972e-03,'{"train_loss":3.8978209495544434,"lr":0.3,"val_loss":1.188667893409729,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(11,4,1.08412119989225175231e-02,'{"train_loss":0.9056135416030884,"lr":0.3,"val_loss":0.4066210091114044,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(11,6,2.1686620995751582086e-02,'{"train_loss":0.32110241055488586,"lr":0.3,"val_loss":0.16478189826011658,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(11,8,3.25900189964158926159e-02,'{"train_loss":0.13709335029125214,"lr":0.3,"val_loss":0.061090223491191864,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(11,10,3.54227619973244145512e-02,'{"train_loss":0.06740915775299072,"lr":0.3,"val_loss":0.016157101839780807,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(11,12,4.7005313994304742664e-02,'{"train_loss":0.01053033396601677,"lr":0.3,"val_loss":0.00734096160158515,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(11,14,6.24020199938968289643e-02,'{"train_loss":0.005343897268176079,"lr":0.3,"val_loss":0.0034599988721311092,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(11,16,7.37970109948946628719e-02,'{"train_loss":0.0034643386024981737,"lr":0.3,"val_loss":0.0009598588803783059,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(11,18,0.0768230359935842,'{"train_loss":0.0007983719115145504,"lr":0.3,"val_loss":0.0003774781944230199,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(11,20,8.79567759984638541936e-02,'{"train_loss":0.00032369710970669985,"lr":0.3,"val_loss":0.00013620604295283556,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(12,2,2.94081600441131740808e-03,'{"train_loss":2.011185884475708,"lr":0.3,"val_loss":1.713454246520996,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(12,4,2.01887140065082348883e-02,'{"train_loss":1.799850583076477,"lr":0.3,"val_loss":0.4457601010799408,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(12,6,3.09263820017804391682e-02,'{"train_loss":0.35025060176849365,"lr":0.3,"val_loss":0.2008349895477295,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(12,8,3.33027880042209289968e-02,'{"train_loss":0.18412968516349792,"lr":0.3,"val_loss":0.06822264194488525,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(12,10,4.10528330066881608217e-02,'{"train_loss":0.07188063114881516,"lr":0.3,"val_loss":0.015781402587890625,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(12,12,0.0489375990073313,'{"train_loss":0.009366892278194427,"lr":0.3,"val_loss":0.008571332320570946,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(12,14,5.19013680059288162738e-02,'{"train_loss":0.010092725977301598,"lr":0.3,"val_loss":0.0025910143740475178,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(12,16,5.91828040087420959025e-02,'{"train_loss":0.0019731572829186916,"lr":0.3,"val_loss":0.0010057123145088553,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(12,18,7.08644420119526330381e-02,'{"train_loss":0.0006916818674653769,"lr":0.3,"val_loss":0.0004738295101560652,"update_ratio":0.014132422395050526}');
INSERT INTO "tuner_points" VALUES(13,2,7.89174999954411759972e-03,'{"train_loss":3.8978209495544434,"lr":0.3,"val_loss":1.188667893409729,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(13,4,1.08412119989225175231e-02,'{"train_loss":0.9056135416030884,"lr":0.3,"val_loss":0.4066210091114044,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(13,6,2.1686620995751582086e-02,'{"train_loss":0.32110241055488586,"lr":0.3,"val_loss":0.16478189826011658,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(13,8,3.25900189964158926159e-02,'{"train_loss":0.13709335029125214,"lr":0.3,"val_loss":0.061090223491191864,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(13,10,3.54227619973244145512e-02,'{"train_loss":0.06740915775299072,"lr":0.3,"val_loss":0.016157101839780807,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(13,12,4.7005313994304742664e-02,'{"train_loss":0.01053033396601677,"lr":0.3,"val_loss":0.00734096160158515,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(13,14,6.24020199938968289643e-02,'{"train_loss":0.005343897268176079,"lr":0.3,"val_loss":0.0034599988721311092,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(13,16,7.37970109948946628719e-02,'{"train_loss":0.0034643386024981737,"lr":0.3,"val_loss":0.0009598588803783059,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(13,18,8.13552559920935891568e-02,'{"train_loss":0.0007983719115145504,"lr":0.3,"val_loss":0.0003774781944230199,"update_ratio":0.01560418214648962}');
INSERT INTO "tuner_points" VALUES(14,2,1.2361503999272827059e-02,'{"train_loss":2.011185884475708,"lr":0.2833333333333333,"val_loss":1.7366443872451782,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(14,4,1.59253589990839827805e-02,'{"train_loss":1.8696142435073853,"lr":0.25,"val_loss":0.5605630874633789,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(14,6,2.31912859999283682554e-02,'{"train_loss":0.4667363464832306,"lr":0.21666666666666667,"val_loss":0.3137235939502716,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(14,8,3.0462343002000125125e-02,'{"train_loss":0.30772894620895386,"lr":0.18333333333333332,"val_loss":0.15069042146205902,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(14,10,3.33925689992611296474e-02,'{"train_loss":0.17583270370960236,"lr":0.15,"val_loss":0.07777880132198334,"update_ratio":1.6178532838821411}');
INSERT INTO "tuner_points" VALUES(14,12,4.09773440005665179342e-02,'{"train_loss":0.04957792907953262,"lr":0.11666666666666664,"val_loss":0.0605466328561306,"update_ratio":0.015138584189116955}');
INSERT INTO "tuner_points" VALUES(14,14,4.83191519997490104287e-02,'{"train_loss":0.06595112383365631,"lr":0.08333333333333334,"val_loss":0.04500894248485565,"update_ratio":0.015138584189116955}');
INSERT INTO "tuner_points" VALUES(14,16,5.57134190021315589547e-02,'{"train_loss":0.041029490530490875,"lr":0.04999999999999999,"val_loss":0.03820112347602844,"update_ratio":0.015138584189116955}');
INSERT INTO "tuner_points" VALUES(14,18,5.87392930028727278113e-02,'{"train_loss":0.03133969008922577,"lr":0.016666666666666663,"val_loss":0.03590376302599907,"update_ratio":0.015138584189116955}');
INSERT INTO "tuner_points" VALUES(15,2,7.92821999857551418244e-03,'{"train_loss":3.8978209495544434,"lr":0.2833333333333333,"val_loss":1.231170654296875,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(15,4,1.1234770994633436203e-02,'{"train_loss":0.9699028730392456,"lr":0.25,"val_loss":0.4965689182281494,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(15,6,1.84243639960186555981e-02,'{"train_loss":0.4168214201927185,"lr":0.21666666666666667,"val_loss":0.25324714183807373,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(15,8,2.54728129948489367961e-02,'{"train_loss":0.22737327218055725,"lr":0.18333333333333332,"val_loss":0.13687622547149658,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(15,10,2.87025499928859062492e-02,'{"train_loss":0.15839999914169312,"lr":0.15,"val_loss":0.07247599214315414,"update_ratio":1.080288290977478}');
INSERT INTO "tuner_points" VALUES(15,12,3.66502639953978359699e-02,'{"train_loss":0.05142051354050636,"lr":0.11666666666666664,"val_loss":0.05430242046713829,"update_ratio":0.014773936942219734}');
INSERT INTO "tuner_points" VALUES(15,14,4.37971769933938048779e-02,'{"train_loss":0.04470402002334595,"lr":0.08333333333333334,"val_loss":0.04302853345870972,"update_ratio":0.014773936942219734}');
INSERT INTO "tuner_points" VALUES(15,16,5.06852049911685753613e-02,'{"train_loss":0.04743760824203491,"lr":0.04999999999999999,"val_loss":0.03572539612650871,"update_ratio":0.014773936942219734}');
INSERT INTO "tuner_points" VALUES(15,18,5.80046839895658195018e-02,'{"train_loss":0.03354565054178238,"lr":0.016666666666666663,"val_loss":0.03296329826116562,"update_ratio":0.014773936942219734}');
CREATE TABLE tuner_schema (
	id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	software VARCHAR(80) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tuner_schema" VALUES(1,1,'0.1.0');
CREATE TABLE tuner_stages (
	id INTEGER NOT NULL, 
	study VARCHAR(80) NOT NULL, 
	stage VARCHAR(80) NOT NULL, 
	metric TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (study, stage)
);
INSERT INTO "tuner_stages" VALUES(1,'Slope','stage1','{"name":"val_loss","mode":"min"}','62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0');
INSERT INTO "tuner_stages" VALUES(2,'Slope','stage2','{"name":"val_loss","mode":"min"}','62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0');
INSERT INTO "tuner_stages" VALUES(3,'Slope','stage3','{"name":"val_loss","mode":"min"}','62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0');
CREATE TABLE tuner_studies (
	name VARCHAR(80) NOT NULL, 
	settings TEXT NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	token BIGINT NOT NULL, 
	expires DOUBLE NOT NULL, 
	since DOUBLE NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	place VARCHAR(255) NOT NULL, 
	pid BIGINT NOT NULL, 
	started DOUBLE NOT NULL, 
	created DOUBLE NOT NULL, 
	updated DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "tuner_studies" VALUES('Slope','{"task": "slope.py:Slope", "data": null, "stages": ["stage1", "stage2", "stage3"], "workdir": "HOME/tune-runs", "cwd": "HOME", "checkpoints": null, "runner": "serial", "address": null, "workers": null, "gpus_per_trial": null, "trial_timeout": null, "threads": 1, "fuse": null, "device": "auto", "seed": 0, "repeats": 2, "metric": null, "mode": null, "optimizer": null, "batch_size": 8, "momentum": null, "eval_examples": null, "exhaustive": false, "lrs": [0.1, 0.01], "max_steps": 20, "refine": false, "batch_sizes": [8, 16], "momenta": [0.0, 0.9], "search": "grid", "trials": 12, "lr_scaling": "linear", "warmup": true, "starts": [], "factors": [0.5, 0.1], "intervals": [], "lazy_interval": 100}','done','',2,0.0,1.79556679427500057218e+09,'host','host',18459,1795566781.01,1.79556679426598834992e+09,1.79556680196298956873e+09);
CREATE TABLE tuner_trials (
	trial_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	line VARCHAR(16) NOT NULL, 
	"plan" TEXT NOT NULL, 
	steps BIGINT NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	begun BIGINT, 
	last BIGINT NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (trial_id)
);
INSERT INTO "tuner_trials" VALUES(1,1,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','cbc57d8055955da6','{"segments":[{"steps":20,"rate":{"lr":0.1,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0}',20,'complete',0,20,'');
INSERT INTO "tuner_trials" VALUES(2,1,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','8f401af018d322af','{"segments":[{"steps":8,"rate":{"lr":0.01,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0}',8,'pruned',0,8,'');
INSERT INTO "tuner_trials" VALUES(3,1,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','5b861f7952886b3e','{"segments":[{"steps":16,"rate":{"lr":1.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0}',16,'pruned',0,16,'');
INSERT INTO "tuner_trials" VALUES(4,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','cbc57d8055955da6','{"segments":[{"steps":10,"rate":{"lr":0.1,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.9,"optimizer":"sgd","seed":0}',10,'pruned',8,10,'');
INSERT INTO "tuner_trials" VALUES(5,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','83caa95c14090f0a','{"segments":[{"steps":20,"rate":{"lr":1.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',20,'complete',0,20,'');
INSERT INTO "tuner_trials" VALUES(6,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','8d9e51276adeebc8','{"segments":[{"steps":4,"rate":{"lr":2.0,"interval":1,"shape":"constant"}}],"batch_size":16,"momentum":0.0,"optimizer":"sgd","seed":0}',4,'pruned',0,4,'');
INSERT INTO "tuner_trials" VALUES(7,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','cbe5cd5ffb44b277','{"segments":[{"steps":5,"rate":{"lr":0.2,"interval":1,"shape":"constant"}}],"batch_size":16,"momentum":0.9,"optimizer":"sgd","seed":0}',5,'pruned',0,5,'');
INSERT INTO "tuner_trials" VALUES(8,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','11d52b427101d316','{"segments":[{"steps":8,"rate":{"lr":3.0,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',8,'pruned',0,8,'');
INSERT INTO "tuner_trials" VALUES(9,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','3994bb27ad24e1c8','{"segments":[{"steps":20,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',20,'complete',0,20,'');
INSERT INTO "tuner_trials" VALUES(10,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','89108cc94946cfe5','{"segments":[{"steps":8,"rate":{"lr":0.09,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',8,'pruned',0,8,'');
INSERT INTO "tuner_trials" VALUES(11,2,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','e5156d15b8857a98','{"segments":[{"steps":20,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":1}',20,'complete',0,20,'');
INSERT INTO "tuner_trials" VALUES(12,3,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','3994bb27ad24e1c8','{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',18,'complete',16,18,'');
INSERT INTO "tuner_trials" VALUES(13,3,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','e5156d15b8857a98','{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"constant"}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":1}',18,'complete',16,18,'');
INSERT INTO "tuner_trials" VALUES(14,3,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','52c1883b2fbf87b7','{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"linear","over":18,"end":0.0}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":0}',18,'complete',0,18,'');
INSERT INTO "tuner_trials" VALUES(15,3,'62942d7c3fb299d379da8a29ad4d1389da0cbcc268287d59c1074659617651b0','77ef34ed043db57b','{"segments":[{"steps":18,"rate":{"lr":0.3,"interval":1,"shape":"linear","over":18,"end":0.0}}],"batch_size":8,"momentum":0.0,"optimizer":"sgd","seed":1}',18,'complete',0,18,'');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX tuner_trials_line ON tuner_trials (study_id, line);
CREATE INDEX tuner_decisions_stage ON tuner_decisions (study, stage);
COMMIT;
