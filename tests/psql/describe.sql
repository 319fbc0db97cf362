\d
\dt
\dv
\dv+
\di
\ds
\d customer
\d+ customer
\d orders
\d+ orders
\d other
\d+ other
\d empty
\d shop.item
\d+ shop.item
\dt shop.*
\dt *.item
\d rich
\d customer_name
\d+ customer_name
\d customer_doc
\d+ orders_customer_qty_idx
\d counter
\d+ counter
\d small
\d orders_id_seq
\d other_id_seq
\d customer*
\dp
\dp customer
\z
\dT
\df
\dd
\des
\dew
\det
\dc
\dD
\dE
\dm
\dP
\dRp
\dRs
\dy
\ddp
\drds
\dl
\dX
\dconfig work_mem
\sf nothing
\d nothing
\dt nothing
\dt public.cus*
\d public.customer
\dp shop.*
\x \\ select 1 as a, 'b' as b;
\x \\ select 1 as a, 'x'::text as b, now() as c, array[1,2] as d, '{}'::jsonb, 1.5::numeric(10,2), 'a'::varchar(5) \gdesc
select id, email, balance, tags, created, doc from customer \gdesc
select 1 \gx
select 'select 1', 'select 2' \gexec
select 1 as foo \gset
\echo :foo
insert into customer (id, email, created) values (1, 'a@b', '2024-01-01');
\copy customer to stdout csv header
\copy (select 1, 'a') to stdout
select 1 as a, 2 as b, 3 as c \crosstabview
\encoding
\lo_list
select 1/0;
\dt+ nothing.*
\d a.b.c.d
\d wrong.public.customer
\df public.*
\dti
\dtvs
