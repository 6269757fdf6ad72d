// The tables of the works as Drizzle and TypeORM see them. The models of a program come from the same copy of Drizzle that
// pgsteward uses: npm installs one for both. Here the link to the parent folder makes it two, so each table is made twice.
import * as peerCore from "drizzle-orm/pg-core";
import { relations as peerRelations } from "drizzle-orm";
import { EntitySchema } from "typeorm";
import * as ownCore from "../node_modules/drizzle-orm/pg-core/index.js";
import { relations as ownRelations } from "../node_modules/drizzle-orm/index.js";

function tables({ integer, jsonb, pgTable, text, timestamp, uuid, bigint }, relations) {
  const items = pgTable("items", {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    title: text("title").notNull(),
    payload: jsonb("payload").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  });
  const documents = pgTable("documents", {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    body: jsonb("body").notNull(),
  });
  const events = pgTable("events", {
    id: uuid("id").primaryKey(),
    position: integer("position").notNull(),
    title: text("title").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
    payload: jsonb("payload").notNull(),
  });
  const tasks = pgTable("tasks", {
    id: uuid("id").primaryKey(),
    title: text("title").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  });
  const steps = pgTable("steps", {
    id: uuid("id").primaryKey(),
    taskId: uuid("task_id").notNull(),
    position: integer("position").notNull(),
    title: text("title").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  });
  const messages = pgTable("messages", {
    id: bigint("id", { mode: "number" }).primaryKey(),
    title: text("title").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  });
  const taskRelations = relations(tasks, ({ many }) => ({ steps: many(steps) }));
  const stepRelations = relations(steps, ({ one }) => ({
    task: one(tasks, { fields: [steps.taskId], references: [tasks.id] }),
  }));
  return { items, documents, events, tasks, steps, messages, taskRelations, stepRelations };
}

/** For pgsteward. */
export const own = tables(ownCore, ownRelations);
/** For Drizzle as a peer. */
export const peer = tables(peerCore, peerRelations);

const created = { type: "timestamptz", name: "created_at" };
const id = { type: "uuid", primary: true };

export const Item = new EntitySchema({
  name: "items",
  columns: {
    id,
    tenantId: { type: "uuid", name: "tenant_id" },
    title: { type: "text" },
    payload: { type: "jsonb" },
    createdAt: created,
  },
});
export const Document = new EntitySchema({
  name: "documents",
  columns: { id, tenantId: { type: "uuid", name: "tenant_id" }, body: { type: "jsonb" } },
});
export const Event = new EntitySchema({
  name: "events",
  columns: { id, position: { type: "int" }, title: { type: "text" }, createdAt: created, payload: { type: "jsonb" } },
});
export const Task = new EntitySchema({
  name: "tasks",
  columns: { id, title: { type: "text" }, createdAt: created },
  relations: { steps: { type: "one-to-many", target: "steps", inverseSide: "task" } },
});
export const Step = new EntitySchema({
  name: "steps",
  columns: {
    id,
    taskId: { type: "uuid", name: "task_id" },
    position: { type: "int" },
    title: { type: "text" },
    createdAt: created,
  },
  relations: {
    task: { type: "many-to-one", target: "tasks", inverseSide: "steps", joinColumn: { name: "task_id" } },
  },
});
